import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { AgentWorld, sampleImage } from '../agent-world.js';

const simple = (name: string): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name} }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - { name: main, image: ${sampleImage}, command: [sleep, "1000000"] }
`;

test('a manifest becomes a running pod, survives a kill -9 of the agent, and leaves nothing when it goes', async () => {
  await using world = await AgentWorld.open();
  const first = await world.start();
  await first.untilStarted();
  await world.write('a.yaml', simple('web'));
  await first.untilReady('web');
  const [before] = first.pods.values();
  await first.kill();

  await using second = await world.start();
  await second.untilReady('web');
  const [after] = second.pods.values();
  expect(after).toMatchObject({ uid: before?.uid, ip: before?.ip, restarts: 0 });
  expect(second.history.filter((pod) => pod.phase === 'Running' && !pod.ready)).toEqual([]);

  await world.remove('a.yaml');
  await second.untilGone();
  expect(await world.leftovers()).toEqual([]);
});

test('a broken manifest stops nothing else', async () => {
  await using world = await AgentWorld.open();
  await world.write('bad.yaml', 'kind: Pod\napiVersion: v1\nspec: { containerz: [] }\n');
  await world.write('good.yaml', simple('good'));
  await using run = await world.start();
  await run.untilReady('good');
  await world.remove('good.yaml');
  await world.remove('bad.yaml');
  await run.untilGone();
  expect(await world.leftovers()).toEqual([]);
});

test('the agent log holds no secret', async () => {
  await using world = await AgentWorld.open();
  await world.write(
    'secret.yaml',
    `
apiVersion: v1
kind: Secret
metadata: { name: door }
stringData: { password: very-hidden-words }
---
apiVersion: v1
kind: Pod
metadata: { name: keeper }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: ${sampleImage}
      command: [sh, -c, "test \\"$(PASSWORD)\\" = very-hidden-words && test \\"$(cat /door/password)\\" = very-hidden-words && sleep 1000000"]
      env: [{ name: PASSWORD, valueFrom: { secretKeyRef: { name: door, key: password } } }]
      volumeMounts: [{ name: door, mountPath: /door }]
  volumes: [{ name: door, secret: { secretName: door } }]
`,
  );
  const run = await world.start();
  await run.untilReady('keeper');
  await world.remove('secret.yaml');
  await run.untilGone();
  await run[Symbol.asyncDispose]();
  expect(run.log).not.toContain('very-hidden-words');
  expect(await readFile(`${world.config.paths.stateDir}/calls/calls.jsonl`, 'utf8')).not.toContain('very-hidden-words');
});
