import { createFakeGitHub } from '../../fakes/github/index.ts';
import { vendorVersions } from './vendor.ts';

export const harness = vendorVersions(() => createFakeGitHub(), 'github');
