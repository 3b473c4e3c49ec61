import { createFakeAzure } from '../../fakes/azure-devops/index.ts';
import { vendorPipeline } from './vendor.ts';

export const harness = vendorPipeline(() => createFakeAzure());
