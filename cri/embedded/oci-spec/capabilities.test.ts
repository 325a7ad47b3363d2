import { describe, expect, test } from 'vitest';
import {
  buildCapabilities,
  capabilityNames,
  defaultCapabilities,
  kernelCapabilities,
  unknownCapabilities,
} from './capabilities.js';

const all = [...kernelCapabilities];
const bounding = (asked: Parameters<typeof buildCapabilities>[0], privileged = false, available = all): string[] =>
  buildCapabilities(asked, privileged, available).bounding.toSorted();

describe('buildCapabilities', () => {
  const rows: [string, Parameters<typeof buildCapabilities>[0], readonly string[]][] = [
    ['nothing asked', undefined, defaultCapabilities],
    [
      'one added, with and without the prefix',
      { addCapabilities: ['net_admin', 'CAP_SYS_TIME'] },
      [...defaultCapabilities, 'CAP_NET_ADMIN', 'CAP_SYS_TIME'],
    ],
    ['one dropped', { dropCapabilities: ['CHOWN'] }, defaultCapabilities.filter((name) => name !== 'CAP_CHOWN')],
    ['drop ALL, add one', { dropCapabilities: ['ALL'], addCapabilities: ['KILL'] }, ['CAP_KILL']],
    [
      'add ALL, drop one',
      { addCapabilities: ['ALL'], dropCapabilities: ['KILL'] },
      all.filter((name) => name !== 'CAP_KILL'),
    ],
    ['drop ALL', { dropCapabilities: ['ALL'] }, []],
  ];
  test.each(rows)('%s', (_name, asked, expected) => {
    expect(bounding(asked)).toEqual([...expected].toSorted());
  });

  test('never more than the machine allows', () => {
    expect(bounding({ addCapabilities: ['ALL'] }, false, ['CAP_KILL'])).toEqual(['CAP_KILL']);
    expect(bounding(undefined, true, ['CAP_KILL', 'CAP_BPF'])).toEqual(['CAP_BPF', 'CAP_KILL']);
  });

  test('a privileged container cannot drop, as in other runtimes', () => {
    expect(bounding({ dropCapabilities: ['ALL'] }, true)).toEqual(all.toSorted());
  });

  test('ambient ones are inheritable and in every other set', () => {
    const set = buildCapabilities(
      { dropCapabilities: ['ALL'], addAmbientCapabilities: ['NET_BIND_SERVICE'] },
      false,
      all,
    );
    for (const part of Object.values(set)) expect(part).toEqual(['CAP_NET_BIND_SERVICE']);
  });
});

test('capabilityNames reads the mask of /proc', () => {
  expect(capabilityNames(0x21n)).toEqual(['CAP_CHOWN', 'CAP_KILL']);
  expect(capabilityNames((1n << 41n) - 1n)).toEqual(all);
});

test('unknownCapabilities', () => {
  expect(unknownCapabilities({ addCapabilities: ['ALL', 'KILL', 'FLY'], dropCapabilities: ['cap_swim'] })).toEqual([
    'FLY',
    'cap_swim',
  ]);
});
