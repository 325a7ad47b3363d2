import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeRecord, encodeEntry, nextRecord, type AttachmentIntent, type RecordEntry } from './attachment-record.js';
import { emptyResult } from './result.js';

const intent: AttachmentIntent = {
  containerId: 'c',
  ifName: 'eth0',
  network: 'n',
  list: { name: 'n', plugins: [{ type: 'a' }, { type: 'b' }] },
  version: '1.0.0',
  netns: '/run/a',
  netnsId: 'boot/1:2',
  args: 'IgnoreUnknown=1',
  capabilities: {},
  since: 5,
};
const adding: RecordEntry = { entry: 'adding', intent };
const step: RecordEntry = { entry: 'step', result: { ...emptyResult, ips: [{ address: '10.0.0.2/24' }] } };
const attached: RecordEntry = { entry: 'attached', result: { ...emptyResult, ips: [{ address: '10.0.0.3/24' }] } };
const removing: RecordEntry = { entry: 'removing' };
const failed: RecordEntry = { entry: 'failed', at: 9, reason: 'why' };

function fileOf(...entries: RecordEntry[]): string {
  return entries.map(encodeEntry).join('');
}

describe('a record says', () => {
  test.each([
    [[adding], { phase: 'adding', reached: 1, failures: 0 }],
    [[adding, step], { phase: 'adding', reached: 2, result: step.result }],
    [[adding, step, attached], { phase: 'attached', reached: 2, result: attached.result }],
    [
      [adding, step, removing, failed, removing, failed],
      { phase: 'removing', reached: 2, failures: 2, lastError: { at: 9, reason: 'why' } },
    ],
    [
      [{ entry: 'lost', containerId: 'c', ifName: 'eth0', reason: 'torn', since: 7 }, removing, failed],
      { phase: 'lost', failures: 1 },
    ],
  ] as ReadonlyArray<[RecordEntry[], object]>)('%#', (entries, expected) => {
    expect(decodeRecord(fileOf(...entries))).toMatchObject({ containerId: 'c', ifName: 'eth0', ...expected });
  });

  test('the same from disk as in memory', () => {
    const later = fc.array(fc.constantFrom(step, attached, removing, failed));
    fc.assert(
      fc.property(later, (entries) => {
        const inMemory = [adding, ...entries].reduce<ReturnType<typeof nextRecord>>(nextRecord, undefined);
        expect(decodeRecord(fileOf(adding, ...entries))).toEqual(inMemory);
      }),
    );
  });

  test('after a cut anywhere, what was whole before the cut; and lines added later are read', () => {
    const whole = fileOf(adding, step, attached);
    const first = encodeEntry(adding).length;
    fc.assert(
      fc.property(fc.integer({ min: first, max: whole.length }), (length) => {
        const cut = decodeRecord(whole.slice(0, length));
        expect(['adding', 'attached']).toContain(cut.phase);
        expect(decodeRecord(whole.slice(0, length) + encodeEntry(removing)).phase).toBe('removing');
      }),
    );
  });

  test.each(['', '\0\0\0', fileOf(step), fileOf(adding).slice(0, 60), fileOf(adding).replace('eth0', 'eth1')])(
    'nothing when its beginning is gone: %#',
    (text) => {
      expect(() => decodeRecord(text)).toThrow(/empty|no readable beginning/);
    },
  );
});
