import { createFakeJenkins } from '../../fakes/jenkins/index.ts';
import { vendorVersions } from './vendor.ts';

export const harness = vendorVersions(createFakeJenkins, 'jenkins');
