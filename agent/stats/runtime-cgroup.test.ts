import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RuntimeCgroup } from './runtime-cgroup.js';

let proc: string;
let now: number;
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'berth-proc-'));
  now = 0;
});
afterEach(async () => await rm(proc, { recursive: true, force: true }));

const header = 'Num       RefCount Protocol Flags    Type St Inode Path\n';
const sockets = async (...lines: string[]): Promise<void> => {
  await mkdir(join(proc, 'net'), { recursive: true });
  await writeFile(join(proc, 'net/unix'), header + lines.map((line) => `${line}\n`).join(''));
};
const listening = (inode: number, path: string): string =>
  `0000000000000000: 00000002 00000000 00010000 0001 01 ${inode} ${path}`;
const connected = (inode: number, path: string): string =>
  `0000000000000000: 00000003 00000000 00000000 0001 03 ${inode} ${path}`;

async function processOf(pid: number, cgroup: string, inode: number): Promise<void> {
  await mkdir(join(proc, `${pid}/fd`), { recursive: true });
  await writeFile(join(proc, `${pid}/cgroup`), `0::${cgroup}\n`);
  await symlink(`socket:[${inode}]`, join(proc, `${pid}/fd/3`));
}

const open = (socketPath: string): RuntimeCgroup =>
  new RuntimeCgroup(
    { hierarchy: { version: 2, root: '/sys/fs/cgroup' }, socketPath, procDir: proc },
    { now: () => now, sleep: () => Promise.resolve() },
  );

test('the one who listens, and neither who is connected nor the first process that keeps the socket for it', async () => {
  await sockets(connected(6, '/run/containerd/containerd.sock'), listening(7, '/run/containerd/containerd.sock'));
  await processOf(1, '/init.scope', 7);
  await processOf(40, '/system.slice/other.service', 6);
  await processOf(41, '/system.slice/containerd.service', 7);
  const runtime = open('/run/containerd/containerd.sock');
  await runtime.look();
  expect(runtime.current()).toBe('/system.slice/containerd.service');
});

test('a runtime that is started anew, and one that is gone', async () => {
  // Bound by the other name of the folder.
  await sockets(listening(7, '/run/docker.sock'));
  await processOf(41, '/system.slice/docker.service', 7);
  const runtime = open('/var/run/docker.sock');
  await runtime.look();
  expect(runtime.current()).toBe('/system.slice/docker.service');
  await sockets(listening(8, '/run/docker.sock'));
  await rm(join(proc, '41'), { recursive: true });
  await processOf(50, '/system.slice/dockerd.service', 8);
  expect(runtime.current()).toBe('/system.slice/docker.service');
  await runtime.look();
  expect(runtime.current()).toBe('/system.slice/dockerd.service');
  await sockets();
  await runtime.look();
  expect(runtime.current()).toBeUndefined();
});

test('one that is accounted with the whole machine is not told of', async () => {
  await sockets(listening(7, '/run/crio/crio.sock'));
  await processOf(41, '/', 7);
  const runtime = open('/run/crio/crio.sock');
  await runtime.look();
  expect(runtime.current()).toBeUndefined();
});
