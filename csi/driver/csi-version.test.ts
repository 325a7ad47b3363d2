import { expect, test } from 'vitest';
import { highestSupportedVersion } from './csi-version.js';

test.each([
  [['1.0.0'], '1.0.0'],
  [['0.3.0', '1.2.0', '1.10.0', '1.9.9'], '1.10.0'],
  [['v1.5', '2.0.0'], '1.5.0'],
  [['0.3.0'], undefined],
  [['2.0.0', 'latest', ''], undefined],
  [[], undefined],
])('%j: %s', (versions, highest) => {
  const version = highestSupportedVersion(versions);
  expect(version === undefined ? undefined : `${version.major}.${version.minor}.${version.patch}`).toBe(highest);
});
