import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { berthMain, BerthWorld, busybox } from '../cli/berth-world.js';
import { BuiltExample } from '../../csi/build-example.js';
import { ExampleDriver } from '../../csi/example-driver.js';

if (!existsSync(berthMain)) process.stderr.write(`SKIPPED: ${berthMain} is not built\n`);

const pod = (name: string, volume: string): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name} }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: ${busybox}
      command: [sleep, "1000000"]
      volumeMounts: [{ name: data, mountPath: /data }]
  volumes: [{ name: data, ${volume} }]
`;

test.skipIf(!existsSync(berthMain))(
  'berth plugins shows each driver, how it is and why; berth why says what a pod waits for',
  async () => {
    await using example = await BuiltExample.build();
    await using world = await BerthWorld.open();
    const exec = join(world.dir, 'flexvolume');
    const config = join(world.dir, 'kubelet.yaml');
    await writeFile(
      config,
      `apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nvolumePluginDir: ${exec}\n`,
    );
    const install = async (name: string, script: string): Promise<void> => {
      await mkdir(join(exec, `example.com~${name}`), { recursive: true });
      await writeFile(join(exec, `example.com~${name}`, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    };
    const init = `[ "$1" != init ] || { echo '{"status":"Success","capabilities":{"attach":false}}'; exit 0; }`;
    await install('good', init);
    await install('mumbling', 'echo who goes there');
    await install(
      'refusing',
      `${init}\n[ "$1" = mount ] || { echo '{"status":"Success"}'; exit 0; }\necho '{"status":"Failure","message":"the array is on fire"}'; exit 1`,
    );
    const go = join(world.dir, 'go');
    await install(
      'hanging',
      `${init}\n[ "$1" = mount ] || { echo '{"status":"Not supported"}'; exit 1; }\necho 'no path to the array' >&2\nuntil [ -e ${go} ]; do sleep 0.1; done\necho '{"status":"Success"}'`,
    );
    await world.start({ flags: ['--config', config] });
    await world.importBusybox();
    const driverOf = async (name: string): Promise<ExampleDriver> => {
      const folder = join(world.dir, name);
      await mkdir(folder);
      const registry = join(world.dir, 'kubelet/plugins_registry');
      return new ExampleDriver({ main: example.main, name: `${name}.example.com`, nodeId: 'n', folder, registry });
    };
    await using fine = await driverOf('fine');
    await fine.start();
    await using broken = await driverOf('broken');
    await broken.break({ NodeGetInfo: { action: 'fail', when: 'before', code: 13, message: 'no hardware here' } });
    await broken.start();
    const rows = [
      /^csi +fine\.example\.com +1\.\d+\.\d+ +yes +\S+csi\.sock/m,
      /^csi +broken\.example\.com +\S+ +no +failed: .*no hardware here/m,
      /^flexvolume +example\.com\/good +<none> +yes +\//m,
      /^flexvolume +example\.com\/mumbling +<none> +no +failed: .*who goes there/m,
    ];
    let missing: readonly RegExp[] = rows;
    // Each is asked at its own time.
    await world
      .until('all drivers are told of', async () => {
        const table = await world.ok('plugins');
        missing = rows.filter((row) => !row.test(table));
        return missing.length === 0;
      })
      .catch(() => {});
    expect(missing).toEqual([]);

    await world.apply(
      [
        pod('waits', 'flexVolume: { driver: example.com/refusing }'),
        pod('alone', 'csi: { driver: broken.example.com }'),
        pod('hangs', 'flexVolume: { driver: example.com/hanging }'),
      ].join('---'),
    );
    let why = '';
    await world.until('the pod says why', async () => {
      why = (await world.berth(['why', 'waits'])).stdout;
      return why.includes('the array is on fire');
    });
    // Which volume, which call, the driver's last words, since when, and when it is tried again.
    expect(why).toMatch(/MountVolume\.SetUp failed for volume "data" : flexvolume: .*mount.*the array is on fire/s);
    expect(why).toMatch(/\d+ ?m?s/);
    await world.until('the other one too', async () => {
      why = (await world.berth(['why', 'alone'])).stdout;
      return why.includes('no hardware here');
    });
    expect(why).toMatch(/volume "data" : kubernetes\.io\/csi: .*broken\.example\.com.*no hardware here/s);

    // Nothing has failed yet: which volume, which call, since when, what the driver printed so far; in the status too, and not as an event.
    const goesOn =
      /MountVolume\.SetUp failed for volume "data" : flexvolume: mount of data at FlexVolume driver example\.com\/hanging was begun at 20\S+Z and has not ended; it says: no path to the array/;
    let message = '';
    await world.until('the pod of the hanging driver says what it waits for', async () => {
      const path = 'jsonpath={.status.containerStatuses[0].state.waiting.message}';
      message = (await world.berth(['get', 'pod', 'hangs', '-o', path])).stdout;
      return goesOn.test(message);
    });
    why = (await world.berth(['why', 'hangs'])).stdout;
    expect(why).toMatch(goesOn);
    // The record of what it waits for says so from the first moment on.
    expect(why).toContain(
      'mounting volumes: volume "data": MountVolume.SetUp: mount of data at FlexVolume driver example.com/hanging was begun at 20',
    );
    expect(await world.ok('events', '--for', 'hangs')).not.toContain('FailedMount');
    await writeFile(go, '');
    await world.untilReady('hangs');
  },
);
