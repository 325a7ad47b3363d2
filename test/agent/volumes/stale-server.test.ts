import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runProgram, type RunProgram } from '../../../base/run-program.js';
import { orAbort } from '../../../base/signals.js';
import { failureOf, podOf, uidOf, VolumeWorld } from './volume-world.js';

const fuse = await open('/dev/fuse', 'r+').catch(() => undefined);
await fuse?.close();
if (!fuse) process.stderr.write('SKIPPED: without /dev/fuse no server can be played that does not answer\n');

/** Mounts a file system whose server, this process, never answers: whoever looks at it waits, as for an NFS server that is gone. */
class SilentServer implements AsyncDisposable {
  readonly #connections: FileHandle[] = [];

  readonly run: RunProgram = async (options, signal) => {
    if (options.argv.slice(0, 3).join(' ') !== 'mount -t nfs') return await runProgram(options, signal);
    const target = options.argv.at(-1) ?? '';
    const connection = await open('/dev/fuse', 'r+');
    this.#connections.push(connection);
    const options3 = 'fd=3,rootmode=40000,user_id=0,group_id=0';
    const child = spawn('mount', ['-i', '-t', 'fuse', '-o', options3, 'server:/srv', target], {
      stdio: ['ignore', 'ignore', 'inherit', connection.fd],
    });
    const [code] = (await once(child, 'exit')) as [number];
    const end = { kind: 'exited', code } as const;
    return { argv: options.argv, end, stdout: Buffer.alloc(0), stderr: '', fd3: Buffer.alloc(0), durationMs: 0 };
  };

  /** Whoever still waits for it fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) await connection.close();
  }
}

test.skipIf(!fuse)(
  'a server that is gone holds up nobody: not a restart, not who asks for usage, not the end of the pod',
  async () => {
    await using server = new SilentServer();
    await using world = await VolumeWorld.open({ run: server.run });
    const pods = Array.from({ length: 6 }, () =>
      podOf({
        volumes: [
          { name: 'share', nfs: { server: '192.0.2.9', path: '/srv' } },
          { name: 'scratch', emptyDir: {} },
        ],
      }),
    );
    const soon = AbortSignal.timeout(90_000);
    const inTime = async <T>(work: Promise<T>): Promise<T> => await orAbort(work, soon);
    for (const pod of pods) await inTime(world.mount(pod));
    expect(await world.mounts()).toHaveLength(pods.length);
    // More than there are threads that could be lost in it.
    const usages = await inTime(Promise.all(pods.map((pod) => world.manager.usage(uidOf(pod), soon))));
    expect(usages.map((usage) => usage.map(({ volume }) => volume))).toEqual(pods.map(() => ['scratch']));
    await inTime(world.restart());
    for (const pod of pods) await inTime(world.mount(pod));
    expect(await world.mounts()).toHaveLength(pods.length);
    for (const pod of pods) await inTime(world.unmount(pod));
    expect(await world.mounts()).toEqual([]);
    for (const pod of pods) expect(await readdir(world.folder(pod))).toEqual([]);
  },
);

test('a mount that waits for its server says so within seconds, goes on, and ends with its pod', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'berth-nfs-'));
  const back = join(dir, 'back');
  const begun: string[] = [];
  // As mount.nfs does: it tries until the server is there, and says little.
  const waits = 'echo "mount.nfs: no answer yet" >&2; until [ -e "$1" ]; do sleep 0.1; done; mount -t tmpfs none "$2"';
  const run: RunProgram = async (options, signal) => {
    if (options.argv.slice(0, 3).join(' ') !== 'mount -t nfs') return await runProgram(options, signal);
    const target = options.argv.at(-1) ?? '';
    begun.push(target);
    return await runProgram({ ...options, argv: ['sh', '-c', waits, 'sh', back, target] }, signal);
  };
  {
    await using world = await VolumeWorld.open({ run });
    const volumes = [{ name: 'share', nfs: { server: '127.0.0.1', path: '/srv' } }];
    const pods = [podOf({ volumes }), podOf({ volumes })] as const;
    const [patient, gone] = pods;
    const started = performance.now();
    const failures = await Promise.all(pods.map((pod) => failureOf(world.mount(pod))));
    // Not the minutes that its call may take.
    expect(performance.now() - started).toBeLessThan(60_000);
    for (const { message } of failures)
      expect(message).toMatch(
        /^MountVolume.SetUp failed for volume "share" : kubernetes.io\/nfs: mount -t nfs 127.0.0.1:\/srv was begun at 20\S+Z and has not ended: (nobody listens on|.*connections).*; it says: mount.nfs: no answer yet$/,
      );
    await world.unmount(gone);
    expect(await readdir(world.folder(gone))).toEqual([]);
    const woken = new Promise<string>((resolve) => world.manager.onChange(resolve));
    const again = world.mount(patient);
    await writeFile(back, '');
    await again;
    expect(await woken).toBe(uidOf(patient));
    expect(begun).toHaveLength(2);
    expect(await world.mounts()).toHaveLength(1);
    await world.unmount(patient);
  }
  await rm(dir, { recursive: true });
});
