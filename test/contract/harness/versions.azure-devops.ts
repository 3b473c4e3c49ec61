import { createFakeAzure } from '../../fakes/azure-devops/index.ts';
import { vendorVersions } from './vendor.ts';

export const harness = vendorVersions(() => createFakeAzure(), 'azure-devops');
