import { createFakeGitlab } from '../../fakes/gitlab/index.ts';
import { vendorPipeline } from './vendor.ts';

export const harness = vendorPipeline(createFakeGitlab);
