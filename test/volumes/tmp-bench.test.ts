import { test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { podOf, VolumeWorld, uidOf } from './volume-world.js';
import { runProgram } from '../../base/run-program.js';
test('bench', async () => {
  let children = 0;
  await using world = await VolumeWorld.open({ run: (o, s) => (children++, runProgram(o, s)) });
  world.objects.configMap('c', { a: '1', b: '2' });
  world.objects.secret('s', { a: '1', b: '2' });
  const pods = Array.from({ length: 100 }, () =>
    podOf({
      volumes: [
        { name: 'c', configMap: { name: 'c' } },
        { name: 's', secret: { secretName: 's' } },
        { name: 'e', emptyDir: {} },
        {
          name: 'p',
          projected: {
            sources: [
              { configMap: { name: 'c' } },
              { secret: { name: 's', items: [{ key: 'a', path: 'x' }] } },
              { downwardAPI: { items: [{ path: 'l', fieldRef: { fieldPath: 'metadata.labels' } }] } },
            ],
          },
        },
      ],
    }),
  );
  const measure = async (what: string, work: () => Promise<unknown>) => {
    const cpu = process.cpuUsage();
    const t = performance.now();
    const c = children;
    await work();
    const u = process.cpuUsage(cpu);
    console.log(
      what,
      `${Math.round(performance.now() - t)} ms, cpu ${Math.round((u.user + u.system) / 1000)} ms, children ${children - c}`,
    );
  };
  const empty = Array.from({ length: 100 }, () => podOf({ volumes: [{ name: 'e', emptyDir: {} }] }));
  await measure('100 emptyDir', () => Promise.all(empty.map((p) => world.mount(p))));
  await measure('100 emptyDir unmount', () => Promise.all(empty.map((p) => world.unmount(p))));
  await measure('mount 100', () => Promise.all(pods.map((p) => world.mount(p))));
  await measure('again 100', () => Promise.all(pods.map((p) => world.mount(p))));
  world.objects.configMap('c', { a: 'new', b: '2' });
  await measure('update 100', () => Promise.all(pods.map((p) => world.mount(p))));
  console.log(await readFile(join(await world.hostPath(pods[99]!), 'a'), 'utf8'));
  await measure('isMounted x 10000', async () => {
    for (let i = 0; i < 100; i++) for (const p of pods) world.manager.isMounted(p);
  });
  await measure('restart', () => world.restart());
  await measure('remount 100', () => Promise.all(pods.map((p) => world.mount(p))));
  await measure('unmount 100', () => Promise.all(pods.map((p) => world.manager.unmountPod(uidOf(p), world.signal))));
});
