import { createFakeJenkins } from '../../fakes/jenkins/index.ts';
import { vendorPipeline } from './vendor.ts';

export const harness = vendorPipeline(createFakeJenkins);
