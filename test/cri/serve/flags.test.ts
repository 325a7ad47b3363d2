import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CriRuntime } from '../../../cri/index.js';
import { missingComponents } from '../embedded/runtime-world.js';
import { UntrustedRegistry } from '../../support/test-registry.js';
import { BerthCriServe, berthMain } from '../../support/berth-cri-serve.js';
import { tryHostProgram } from '../../support/host-program.js';

const { signal } = new AbortController();
const missing = missingComponents();
if (missing !== '') console.warn(`SKIPPED the flags of berth cri serve: needs ${missing}`);

describe.skipIf(missing !== '')('berth cri serve: what it is told', () => {
  let folder: string;
  let known: UntrustedRegistry;
  let unknown: UntrustedRegistry;
  let served: BerthCriServe;
  let runtime: CriRuntime;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'brt-sf-'));
    [known, unknown] = [await UntrustedRegistry.open(), await UntrustedRegistry.open()];
    // A runtime of another's, which says that it was there.
    const own = join(folder, 'own-runtime');
    await writeFile(own, `#!/bin/sh\ntouch ${folder}/was-called\nexec /usr/sbin/runc "$@"\n`);
    await chmod(own, 0o755);
    const config = join(folder, 'config.yaml');
    await writeFile(
      config,
      `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
---
apiVersion: berth/v1
kind: BerthConfiguration
ociRuntimes: {from-file: ${own}}
`,
    );
    const flags = { config, 'oci-runtime': `own=${own}`, 'insecure-registry': known.host, 'cgroup-driver': 'cgroupfs' };
    served = await BerthCriServe.open(Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]));
    runtime = await served.connect();
  });

  afterAll(async () => {
    await runtime?.[Symbol.asyncDispose]();
    await served?.[Symbol.asyncDispose]();
    await known?.[Symbol.asyncDispose]();
    await unknown?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  test('--cgroup-driver goes before the file, and is what a kubelet is told', async () => {
    const { linux } = await runtime.runtime.runtimeConfig({}, signal);
    expect(linux?.cgroupDriver ?? 'SYSTEMD').toBe('CGROUPFS');
  });

  test('--oci-runtime: the handlers that are told are those of flags, file and defaults', async () => {
    const { runtimeHandlers = [] } = await runtime.runtime.status({}, signal);
    const names = runtimeHandlers.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['crun', 'runc', 'own', 'from-file']));
    const config = {
      metadata: { name: 'p', namespace: 'test', uid: 'u', attempt: 0 },
      // Such a sandbox has a process of its own, which the program of its handler starts.
      linux: { cgroupParent: `/${served.name}`, securityContext: { namespaceOptions: { pid: 'POD' } } },
    } as const;
    const { podSandboxId } = await runtime.runtime.runPodSandbox({ config, runtimeHandler: 'own' }, signal);
    expect(existsSync(join(folder, 'was-called'))).toBe(true);
    await runtime.runtime.removePodSandbox({ podSandboxId }, signal);
  });

  test('--insecure-registry: one that is named may show any certificate, the others may not', async () => {
    const pull = (host: string): Promise<unknown> =>
      runtime.images.pullImage({ image: { image: `${host}/team/app:1` } }, signal);
    await expect(pull(unknown.host)).rejects.toThrow(/certificate/);
    await expect(pull(known.host)).rejects.not.toThrow(/certificate/);
    expect(unknown.requests).toEqual([]);
    expect(known.requests).not.toEqual([]);
  });

  test.each([
    [['--oci-runtime', 'own'], '--oci-runtime: "own": expected NAME=PATH'],
    [['--cgroup-driver', 'both'], '--cgroup-driver: '],
    [
      ['--runtime', 'docker', '--insecure-registry', 'a.b'],
      '--insecure-registry: is for the embedded runtime; Docker has its own',
    ],
    [['--runtime', 'unix:///x.sock', '--oci-runtime', 'a=/b'], '--oci-runtime: is for the embedded runtime; a runtime'],
    [['--log-level', 'loud'], 'debug, info, warn, error'],
  ])('%j is refused', async (flags, words) => {
    const result = await tryHostProgram([process.execPath, berthMain, 'cri', 'serve', ...flags], 60_000);
    expect(result.stderr).toContain(words);
    expect(result.end).toMatchObject({ kind: 'exited' });
    expect(result.end).not.toMatchObject({ code: 0 });
  });
});
