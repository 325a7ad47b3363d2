import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BerthWorld } from './berth-world.js';

const manifest = `
apiVersion: v1
kind: ConfigMap
metadata: { name: words }
data: { greeting: good morning }
---
apiVersion: v1
kind: Secret
metadata: { name: door }
stringData: { password: open sesame }
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: high }
value: 1000
`;

test('objects of a manifest have an age, which a restart keeps, and are changed in their file only', async () => {
  await using world = await BerthWorld.open();
  const file = join(world.manifests, 'objects.yaml');
  await writeFile(file, manifest);
  const agent = await world.start();
  await world.until('the objects', async () => (await world.ok('get', 'cm,secret', '-o', 'name')).includes('door'));
  expect(await world.ok('get', 'cm')).toMatch(/^NAME {4}DATA {3}AGE\nwords {3}1 {6}\d+s\n$/);
  const since = await world.ok('get', 'secret', 'door', '-o', 'jsonpath={.metadata.creationTimestamp}');
  expect(since).toMatch(/^20\d\d-/);

  for (const [index, object] of manifest.split('\n---\n').entries()) {
    const name = ['configmap default/words', 'secret default/door', 'priorityclass high'][index];
    const { code, stdout, stderr } = await world.berth(['apply', '-f', '-'], { input: object });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`${name} is given by ${file}; change it there`);
  }
  const refused = await world.berth(['delete', 'cm', 'words']);
  expect(refused.stderr).toContain(`it is given by ${file}; remove it there`);
  await world.apply('{apiVersion: v1, kind: ConfigMap, metadata: {name: words, namespace: other}}');
  await world.ok('delete', 'cm', 'words', '-n', 'other');

  agent.kill('SIGKILL');
  await once(agent, 'exit');
  await world.start();
  await world.until('the objects', async () => (await world.ok('get', 'cm,secret', '-o', 'name')).includes('door'));
  expect(await world.ok('get', 'secret', 'door', '-o', 'jsonpath={.metadata.creationTimestamp}')).toBe(since);
});
