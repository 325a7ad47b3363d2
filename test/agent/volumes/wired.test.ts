import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AgentWorld, otherImage, sampleImage } from '../agent-world.js';
import { untilAsync } from '../../support/until-async.js';

const podOf = (name: string, mounts: string, volumes: string): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name} }
spec:
  terminationGracePeriodSeconds: 0
  securityContext: { fsGroup: 3000 }
  containers:
    - name: main
      image: ${sampleImage}
      imagePullPolicy: IfNotPresent
      command: [sleep, "1000000"]
      volumeMounts: ${mounts}
  volumes: ${volumes}
`;

test('volumes of a whole agent: an image, a disk of this node that others write to, read-only all the way down', async () => {
  await using world = await AgentWorld.open();
  const disk = join(world.dir, 'disk');
  await mkdir(disk);
  await writeFile(join(disk, 'kept'), 'user data');
  await using run = await world.start();
  await run.untilStarted();
  await run.apply(`
apiVersion: v1
kind: PersistentVolume
metadata: { name: disk }
spec:
  capacity: { storage: 1Gi }
  accessModes: [ReadWriteOnce]
  local: { path: ${disk} }
  nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: kubernetes.io/hostname, operator: In, values: [test-node] }] }] } }
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: elsewhere }
spec:
  capacity: { storage: 1Gi }
  accessModes: [ReadWriteOnce]
  storageClassName: far
  local: { path: ${disk} }
  nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: kubernetes.io/hostname, operator: In, values: [other-node] }] }] } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: mine }
spec: { storageClassName: "", accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: far }
spec: { storageClassName: far, accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
${['web', 'writer']
  .map(
    (name) =>
      `---${podOf(
        name,
        `[{ name: site, mountPath: /site, subPath: bin }, { name: data, mountPath: /data }, { name: data, mountPath: /frozen, readOnly: true, recursiveReadOnly: Enabled }]`,
        `[{ name: site, image: { reference: "${otherImage}", pullPolicy: IfNotPresent } }, { name: data, persistentVolumeClaim: { claimName: mine } }]`,
      )}`,
  )
  .join('')}
---${podOf(
    'waits',
    `[{ name: site, mountPath: /site }, { name: data, mountPath: /data }]`,
    `[{ name: site, image: { reference: "127.0.0.1:9/none:1" } }, { name: data, persistentVolumeClaim: { claimName: far } }]`,
  )}`);
  await run.untilReady('web');
  await run.untilReady('writer');
  expect(await run.sh('web', 'main', 'ls /site | grep -x busybox; touch /site/x 2>&1 || true')).toMatch(
    /^busybox\n.*Read-only file system/,
  );
  expect(run.eventsOf('web')).toContain(`Pulled: Container image "${otherImage}" already present on machine`);
  expect(await run.sh('web', 'main', 'cat /data/kept; stat -c " %g" /data/kept')).toBe('user data 3000');
  await run.sh('writer', 'main', 'echo seen > /data/other');
  expect(await run.sh('web', 'main', 'cat /frozen/other; touch /frozen/x 2>&1 || true')).toMatch(
    /^seen\n.*Read-only file system/,
  );
  const { volumeMounts = [] } = run.container('web', 'main');
  expect(volumeMounts.find(({ mountPath }) => mountPath === '/frozen')).toMatchObject({ recursiveReadOnly: 'Enabled' });

  // What it waits for is said of each volume, with the words of whoever refused.
  const words = [
    /volume "site" : kubernetes.io\/image: Failed to pull image "127.0.0.1:9\/none:1"/,
    /volume "data" : .*the volume cannot be used on this node: no matching NodeSelectorTerms/,
  ];
  await run.untilPod('waits', 'says what it waits for', ({ waits }) =>
    words.every((each) => each.test(waits.join(' '))),
  );

  for (const name of ['web', 'writer', 'waits']) await run.delete(name, 0);
  await run.untilGone();
  expect(await readFile(join(disk, 'kept'), 'utf8')).toBe('user data');
  await untilAsync('nothing is left', async () => (await world.leftovers()).length === 0, {
    tell: () => world.leftovers(),
  });
});
