import { expect, test } from 'vitest';
import { SyncOutput } from './sync-output.js';

test('what fits is kept of both streams, the rest is taken and dropped', () => {
  const { stdout, stderr } = new SyncOutput(10);
  stdout.write('123456');
  stderr.write('abc');
  stdout.write('789');
  stderr.write('def');
  expect([stdout.bytes.toString(), stderr.bytes.toString()]).toEqual(['1234567', 'abc']);
  expect(stdout.writableNeedDrain).toBe(false);
});
