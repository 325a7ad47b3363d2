import { expect, test } from 'vitest';
import type { ProgramResult, RunProgram } from '../../../base/run-program.js';
import { relabelMounts } from './relabel-mounts.js';

const label = 'system_u:object_r:container_file_t:s0:c15,c25';
const signal = new AbortController().signal;
const mounts = [
  { hostPath: '/pods/a', selinuxRelabel: true },
  { hostPath: '/pods/a', selinuxRelabel: true },
  { hostPath: '/pods/-b', selinuxRelabel: true },
  { hostPath: '/etc/hosts', selinuxRelabel: false },
  { hostPath: '', selinuxRelabel: true },
];

async function relabel(code: number, stderr: string, given = mounts, as = label): Promise<string[]> {
  const calls: string[] = [];
  const run: RunProgram = ({ argv }) => {
    calls.push(argv.join(' '));
    const end = { kind: 'exited', code } as const;
    const none = Buffer.alloc(0);
    return Promise.resolve<ProgramResult>({ argv, end, stdout: none, stderr, fd3: none, durationMs: 1 });
  };
  await relabelMounts(given, as, { run }, signal);
  return calls;
}

test('what asks for it, once for each volume', async () => {
  expect(await relabel(0, '')).toEqual([
    `chcon --recursive --no-dereference -- ${label} /pods/a`,
    `chcon --recursive --no-dereference -- ${label} /pods/-b`,
  ]);
});

test('nothing where SELinux is off or the container has no label', async () => {
  expect(await relabel(0, '', mounts, '')).toEqual([]);
});

test('a file system without labels is as it should be; any other failure is told', async () => {
  const unsupported = "chcon: failed to change context of '/pods/a' to 'x': Operation not supported\n";
  expect(await relabel(1, unsupported)).toHaveLength(2);
  await expect(
    relabel(1, `${unsupported}chcon: failed to change context of '/pods/a/f': Invalid argument\n`),
  ).rejects.toThrow('relabel /pods/a for SELinux: chcon exited with 1: chcon: failed');
  await expect(relabel(1, '')).rejects.toThrow('exited with 1');
});

test.each(['/', '/usr', '/etc/', '/var/lib/../lib', '/home'])('%s is the machine, not a volume', async (hostPath) => {
  await expect(relabel(0, '', [{ hostPath, selinuxRelabel: true }])).rejects.toThrow("the machine's own");
});
