import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCertificate, makeKey } from '../../../agent/controlplane/certificates/index.js';
import { BerthWorld, busybox } from './berth-world.js';

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

const authority = async (commonName: string): Promise<string> =>
  makeCertificate({
    subject: { commonName },
    keyPem: await makeKey(),
    notBefore: Date.now() - 1000,
    notAfter: Date.now() + 1e9,
    use: 'authority',
  });

test('a trust bundle is applied, read by pods by name and by signer, followed when it changes, and taken away', async () => {
  await using world = await BerthWorld.open();
  await world.start();
  await world.importBusybox();
  const [first, second] = [await authority('one'), await authority('two')];
  const bundle = (name: string, spec: object): string =>
    JSON.stringify({
      apiVersion: 'certificates.k8s.io/v1beta1',
      kind: 'ClusterTrustBundle',
      metadata: { name, labels: { live: 'yes' } },
      spec,
    });
  const refused = await world.berth(['apply', '-f', '-'], { input: bundle('broken', { trustBundle: 'words' }) });
  expect(refused.stderr).toContain('spec.trustBundle: Invalid value: at least one trust anchor must be provided');
  const sources = [
    { clusterTrustBundle: { name: 'named', path: 'named.pem' } },
    { clusterTrustBundle: { signerName: 'a.com/b', labelSelector: { matchLabels: { live: 'yes' } }, path: 'all.pem' } },
  ];
  const volumes = [{ name: 'trust', projected: { sources } }];
  const containers = [
    { name: 'main', image: busybox, command: ['sleep', '1000'], volumeMounts: [{ name: 'trust', mountPath: '/t' }] },
  ];
  const spec = { terminationGracePeriodSeconds: 0, containers, volumes };
  await world.apply(bundle('a.com:b:live', { signerName: 'a.com/b', trustBundle: first }));
  await world.apply(JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'trusting' }, spec }));
  await world.until('it waits for the bundle', async () =>
    (await world.ok('why', 'trusting')).includes('clustertrustbundle "named" not found'),
  );
  await world.apply(bundle('named', { trustBundle: second }));
  await world.until('it runs', async () => (await world.ok('get', 'pod', 'trusting')).includes('Running'));
  const read = (file: string): Promise<string> => world.ok('exec', 'trusting', '--', 'cat', `/t/${file}`);
  expect([await read('named.pem'), await read('all.pem')]).toEqual([second, first]);
  expect(await world.ok('get', 'clustertrustbundles', '-o', 'name')).toMatch(/a\.com:b:live\n.*named\n/);
  await world.apply(bundle('a.com:b:live', { signerName: 'a.com/b', trustBundle: second }));
  await world.until('the change is there', async () => (await read('all.pem')) === second);
  await world.ok('delete', 'pod', 'trusting');
  await world.ok('delete', 'clustertrustbundle', 'named');
});
