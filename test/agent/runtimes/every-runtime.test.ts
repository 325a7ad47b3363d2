import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { writeSampleArchives } from '../../../agent/demo/sample-images.js';
import { runProgram } from '../../../base/run-program.js';
import { busyboxReference } from '../../support/cri-daemon.js';
import { criDaemonKinds } from '../../support/cri-daemons.js';
import { Dockerd, missingForDocker } from '../../support/dockerd.js';
import { AgentWorld } from '../agent-world.js';

/** The agent's own life of a pod, the same on every runtime: init container, sidecar, volumes, probes, exec, restart, kill -9. */
async function life(world: AgentWorld): Promise<void> {
  const first = await world.start();
  await first.untilStarted();
  await world.write('web.yaml', manifest);
  await first.untilReady('web', 60_000);
  expect(
    await first.sh('web', 'main', 'cat /scratch/made /door/password; wget -qO- http://127.0.0.1:9000/; hostname'),
  ).toBe('by init\nsesamehello\nweb');
  // The command may end with the container whose first process it ends.
  expect([0, 137]).toContain((await first.exec('web', 'main', 'sh', '-c', 'kill 1')).code);
  await first.until(
    'main was restarted',
    (run) => [...run.pods.values()].some((pod) => pod.ready && pod.restarts === 1),
    60_000,
  );
  await first.kill();
  const second = await world.start();
  await second.untilReady('web', 60_000);
  expect([...second.pods.values()][0]).toMatchObject({ restarts: 1 });
  await world.remove('web.yaml');
  await second.untilGone(60_000);
  await second[Symbol.asyncDispose]();
}

const samplesFolder = fileURLToPath(new URL('../../../samples/', import.meta.url));

/** The pods that the README shows, each doing what it is there for. */
async function samples(
  world: AgentWorld,
  format: 'oci-archive' | 'docker-archive',
  load: (path: string, reference: string) => Promise<unknown>,
): Promise<void> {
  const folder = join(world.dir, 'samples');
  await mkdir(folder);
  const { signal } = new AbortController();
  for (const { path, reference } of await writeSampleArchives(folder, { run: runProgram, format }, signal))
    await load(path, reference);
  await using run = await world.start();
  await run.untilStarted();
  const files = await readdir(samplesFolder);
  for (const file of files) {
    const text = await readFile(join(samplesFolder, file), 'utf8');
    // Ports of the machine are taken once, and these suites do not run alone on it; nobody waits for the grace of a shell.
    const alone = text.replace(/, hostPort: \d+/, '').replace(/^ *terminationGracePeriodSeconds:.*\n/m, '');
    await world.write(file, alone.replace(/^spec:$/m, 'spec:\n  terminationGracePeriodSeconds: 1'));
  }
  const names = ['app', 'pair', 'settings', 'web'];
  for (const name of names) await run.untilReady(name, 60_000);
  expect([...run.pods.values()].map(({ name }) => name).toSorted()).toEqual(names);
  expect(await (await fetch(`http://${run.pod('web').ip}/`)).text()).toContain('It runs');
  expect(
    await run.sh('settings', 'main', 'echo $GREETING from $POD_NAME, $MEMORY_LIMIT MiB; cat /etc/door/password'),
  ).toBe('good morning from settings, 64 MiB\nopen sesame');
  for (const file of files) await world.remove(file);
  await run.untilGone(60_000);
}

const manifest = `
apiVersion: v1
kind: Secret
metadata: { name: door }
stringData: { password: sesame }
---
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
    - { name: first, image: ${busyboxReference}, imagePullPolicy: Never, command: [sh, -c, "echo by init > /scratch/made"], volumeMounts: [{ name: scratch, mountPath: /scratch }] }
    - { name: side, image: ${busyboxReference}, imagePullPolicy: Never, restartPolicy: Always, command: [sh, -c, "mkdir /www && echo hello > /www/index.html && exec httpd -f -p 127.0.0.1:9000 -h /www"] }
  containers:
    - name: main
      image: ${busyboxReference}
      imagePullPolicy: Never
      command: [sh, -c, "trap 'exit 3' TERM; while true; do sleep 0.1; done"]
      readinessProbe: { exec: { command: [sh, -c, "cat /scratch/made && wget -qO- http://127.0.0.1:9000/"] }, periodSeconds: 1 }
      volumeMounts: [{ name: scratch, mountPath: /scratch }, { name: door, mountPath: /door }]
  volumes:
    - { name: scratch, emptyDir: {} }
    - { name: door, secret: { secretName: door } }
`;

for (const kind of criDaemonKinds) {
  const { name, missing } = kind;
  if (missing !== undefined) console.warn(`SKIPPED the agent on ${name}: ${missing} is not there`);
  test.skipIf(missing !== undefined)(`a pod lives on ${name} as it does on the embedded runtime`, async () => {
    await using daemon = await kind.open();
    await using world = await AgentWorld.open((config) => ({
      ...config,
      runtime: { ...config.runtime, endpoint: daemon.endpoint },
    }));
    await life(world);
    await samples(world, 'oci-archive', (path, reference) => daemon.importImage(path, reference));
    await using runtime = await daemon.connect();
    expect((await runtime.runtime.listPodSandbox({}, new AbortController().signal)).items).toEqual([]);
  });
}

const missing = missingForDocker();
if (missing !== undefined) console.warn(`SKIPPED the agent on Docker: ${missing} is not there`);
test.skipIf(missing !== undefined)('a pod lives on Docker as it does on the embedded runtime', async () => {
  await using dockerd = await Dockerd.open();
  await using world = await AgentWorld.open((config) => ({
    ...config,
    runtime: { ...config.runtime, endpoint: `docker://${dockerd.socket}` },
  }));
  await life(world);
  await samples(world, 'docker-archive', (path) => dockerd.docker('load', '-i', path));
  expect(await dockerd.docker('ps', '-aq')).toBe('');
  expect(await world.leftovers()).toEqual([]);
});
