import { createFakeOci } from '../../fakes/oci/index.ts';
import type { VersionsHarness } from './types.ts';
import { vendorVersions } from './vendor.ts';

export const harness: VersionsHarness = {
  ...vendorVersions(createFakeOci, 'oci'),
  // A registry knows images and no commits.
  without: ['compare'],
};
