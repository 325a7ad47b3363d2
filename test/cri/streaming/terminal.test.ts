import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { CriRuntime, TerminalSize, v1 } from '../../../cri/index.js';
import { StateKeepingNetwork } from '../state-keeping-network.js';
import { busyboxReference, Containerd, missingForContainerd } from '../../support/containerd.js';
import { eventually } from '../../support/daemon.js';
import { Dockerd, missingForDocker } from '../../support/dockerd.js';

const { signal } = new AbortController();

interface World extends AsyncDisposable {
  readonly cri: CriRuntime;
  readonly folder: string;
  readonly name: string;
}

async function onContainerd(flavour: '2.x' | '1.6'): Promise<World> {
  const containerd = await Containerd.open(flavour);
  const cri = await containerd.connect();
  return {
    cri,
    folder: containerd.folder,
    name: containerd.name,
    [Symbol.asyncDispose]: async () => {
      await cri[Symbol.asyncDispose]();
      await containerd[Symbol.asyncDispose]();
    },
  };
}

async function onDocker(): Promise<World> {
  const dockerd = await Dockerd.open();
  const cri = await dockerd.connect(new StateKeepingNetwork(join(dockerd.folder, 'network')));
  return {
    cri,
    folder: dockerd.folder,
    name: dockerd.name,
    [Symbol.asyncDispose]: async () => {
      await cri[Symbol.asyncDispose]();
      await dockerd[Symbol.asyncDispose]();
    },
  };
}

const worlds = [
  ['containerd 2.x', missingForContainerd('2.x'), async () => onContainerd('2.x')],
  ['containerd 1.6', missingForContainerd('1.6'), async () => onContainerd('1.6')],
  ['Docker', missingForDocker(), onDocker],
] as const;

/** These start a command before they apply its first size, so the contract suite cannot ask for that; later sizes must arrive. */
describe.each(worlds)('a terminal on %s', (name, missing, open) => {
  if (missing !== undefined) console.warn(`SKIPPED terminals on ${name}: needs ${missing}`);

  test.skipIf(missing !== undefined)('has the size the client says, also when it changes', async () => {
    await using world = await open();
    const { runtime, streaming } = world.cri;
    const sandboxConfig: v1.PodSandboxConfig = {
      metadata: { name: 'tty', namespace: 'test', uid: 'u', attempt: 0 },
      logDirectory: join(world.folder, 'logs'),
      linux: { cgroupParent: `/${world.name}` },
    };
    const { podSandboxId = '' } = await runtime.runPodSandbox({ config: sandboxConfig }, signal);
    const config = {
      metadata: { name: 'main' },
      image: { image: busyboxReference },
      command: ['sleep', '1000'],
      logPath: 'x.log',
    };
    const { containerId } = await runtime.createContainer({ podSandboxId, config, sandboxConfig }, signal);
    await runtime.startContainer({ containerId }, signal);

    const sizes = new PassThrough({ objectMode: true });
    const stdin = new PassThrough();
    let seen = '';
    const stdout = new Writable({
      write(chunk: Buffer, _encoding, done) {
        seen += chunk.toString();
        done();
      },
    });
    const cmd = ['sh', '-c', 'while read x && [ "$x" != bye ]; do stty size; done; exit 6'];
    const done = streaming.exec(
      { containerId, cmd, tty: true, stdin: true, stdout: true },
      { stdin, stdout, resize: sizes as AsyncIterable<TerminalSize> },
      signal,
    );
    for (const size of [
      { columns: 111, rows: 33 },
      { columns: 77, rows: 22 },
    ]) {
      sizes.write(size);
      await eventually(`size ${size.rows} ${size.columns}`, () => {
        stdin.write('ask\n');
        return seen.includes(`${size.rows} ${size.columns}`);
      });
    }
    stdin.write('bye\n');
    expect((await done).exitCode).toBe(6);
    sizes.end();
    await runtime.stopPodSandbox({ podSandboxId }, signal);
    await runtime.removePodSandbox({ podSandboxId }, signal);
  });
});
