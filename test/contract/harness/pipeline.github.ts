import { createFakeGitHub } from '../../fakes/github/index.ts';
import { vendorPipeline } from './vendor.ts';

export const harness = vendorPipeline(() => createFakeGitHub());
