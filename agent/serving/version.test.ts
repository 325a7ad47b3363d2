import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { berthVersion } from './version.js';

test('the version is that of the package', () => {
  const file = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  expect(berthVersion).toBe(version);
});
