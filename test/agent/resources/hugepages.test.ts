import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { AgentWorld, canRunAgent } from '../agent-world.js';
import { container, podManifest } from '../pod-objects.js';

const able = await canRunAgent();
if (!able) console.warn('SKIPPED: huge pages need root, crun and the compiled agent');

const pages = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages';
const wanted = 8;

/** Pages the kernel sets apart while the test runs; undefined where it has none to give. */
async function hugepages(): Promise<AsyncDisposable | undefined> {
  const before = await readFile(pages, 'utf8').catch(() => undefined);
  if (before === undefined) return undefined;
  const restore = { [Symbol.asyncDispose]: () => writeFile(pages, before) };
  await writeFile(pages, String(Number(before) + wanted));
  if (Number(await readFile(pages, 'utf8')) >= Number(before) + wanted) return restore;
  await restore[Symbol.asyncDispose]();
  return undefined;
}

const amounts = { memory: '32Mi', cpu: '50m', 'hugepages-2Mi': '4Mi' };
const resources = { requests: amounts, limits: amounts };
const volumes = [{ name: 'pages', emptyDir: { medium: 'HugePages' } }];
const volumeMounts = [{ name: 'pages', mountPath: '/pages' }];
const user = container('main', { resources, volumeMounts });

/** What the container may have of huge pages, of either version. */
const limit = 'cat /sys/fs/cgroup/hugetlb/hugetlb.2MB.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/hugetlb.2MB.max';

test.skipIf(!able)(
  'huge pages: as many as asked for, in a volume too, and none for those who ask for none',
  async () => {
    await using given = await hugepages();
    if (!given) return console.warn(`SKIPPED: the kernel sets no ${wanted} huge pages apart`);
    await using world = await AgentWorld.open();
    await using run = await world.start();
    await run.apply(podManifest('user', { containers: [user], volumes }));
    await run.apply(podManifest('other', { containers: [container('main')] }));
    await run.untilReady('user');
    await run.untilReady('other');
    expect(await run.sh('user', 'main', limit)).toBe(String(4 * 2 ** 20));
    expect(await run.sh('other', 'main', limit)).toBe('0');
    expect(await run.sh('user', 'main', "grep ' /pages ' /proc/mounts")).toMatch(/ hugetlbfs .*pagesize=2M/);
    // Two pages are its own; the third is another's.
    await run.sh('user', 'main', 'fallocate -l 4194304 /pages/two');
    expect((await run.exec('user', 'main', 'fallocate', '-l', '2097152', '/pages/third')).code).not.toBe(0);
    await run.apply(podManifest('more', { containers: [container('main', { resources: manyPages })] }));
    const refused = await run.untilPod('more', 'is refused', ({ phase }) => phase === 'Failed');
    expect(refused.status.reason).toBe('OutOfhugepages-2Mi');
    for (const name of ['user', 'other', 'more']) await run.delete(name, 1);
    await run.untilGone();
    expect(await world.leftovers()).toEqual([]);
  },
);

const many = { memory: '32Mi', cpu: '50m', 'hugepages-2Mi': '1Ti' };
const manyPages = { requests: many, limits: many };

test.skipIf(!able)(
  'where there are none, a pod that asks for some is refused with the reason; memory without swap',
  async () => {
    await using world = await AgentWorld.open();
    await using run = await world.start();
    await run.apply(podManifest('asking', { containers: [container('main', { resources: manyPages })] }));
    const refused = await run.untilPod('asking', 'is refused', ({ phase }) => phase === 'Failed');
    expect(refused.status).toMatchObject({
      reason: 'OutOfhugepages-2Mi',
      message: expect.stringContaining('hugepages-2Mi') as string,
    });
    // An emptyDir of a page size nobody asks for.
    await run.apply(podManifest('volume', { containers: [container('main', { volumeMounts })], volumes }));
    await run.untilPod('volume', 'says what is wrong', ({ waits }) =>
      /no resource request for huge pages/.test(waits.join()),
    );
    await run.apply(
      podManifest('limited', { containers: [container('main', { resources: { limits: { memory: '32Mi' } } })] }),
    );
    await run.untilReady('limited');
    const together =
      'cat /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.swap.max';
    expect([String(32 * 2 ** 20), '0']).toContain(await run.sh('limited', 'main', together));
    for (const name of ['asking', 'volume', 'limited']) await run.delete(name, 1);
    await run.untilGone();
    expect(await world.leftovers()).toEqual([]);
  },
);
