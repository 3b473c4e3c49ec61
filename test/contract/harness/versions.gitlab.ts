import { createFakeGitlab } from '../../fakes/gitlab/index.ts';
import { vendorVersions } from './vendor.ts';

export const harness = vendorVersions(createFakeGitlab, 'gitlab');
