import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadManifestReader, type PodSpec } from '../../../agent/api/index.js';
import { withDefaults } from '../../../agent/config/kubelet/index.js';
import { ContainerCollector, type ContainerPolicy } from '../../../agent/garbage/index.js';
import type { Agent } from '../../../agent/agent.js';
import { openAgent } from '../../../agent/open-agent.js';
import { systemClock, type Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import { AgentWorld, canRunAgent, sampleImage } from '../agent-world.js';
import { podManifest, script } from '../pod-objects.js';
import { missingProgram, never } from '../../cri/embedded/images/temp-store.js';
import { TestRegistry } from '../../support/test-registry.js';
import { makeBusyboxImage } from '../../setup/busybox-image.js';
import { eventually } from '../../support/daemon.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';

const missing = await missingProgram('skopeo', 'docker-registry', 'mkfs.ext4', '/bin/busybox');
const able = (await canRunAgent()) && missing === undefined;
if (!able) console.warn(`SKIPPED: garbage collection needs root, crun, the compiled agent, ${missing ?? ''}`);

const mebi = 2 ** 20;
const imageEveryMs = 300_000;
const highPercent = 70;

/** Real time, but for the rounds that come every few minutes: those come when the test says so. */
class RoundsClock implements Clock {
  #aheadMs = 0;
  readonly #held = new Set<() => void>();

  now(): number {
    return Date.now() + this.#aheadMs;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (ms !== imageEveryMs) return await systemClock.sleep(ms, signal);
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        this.#held.delete(end);
        signal.removeEventListener('abort', stop);
        resolve();
      };
      const stop = (): void => {
        this.#held.delete(end);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', stop, { once: true });
      this.#held.add(end);
    });
  }

  skip(ms: number): void {
    this.#aheadMs += ms;
  }

  /** One round of what comes every five minutes, from its beginning to its end. */
  async round(): Promise<void> {
    await eventually('the round waits', () => this.#held.size > 0);
    const before = [...this.#held];
    for (const end of before) end();
    await eventually('the round has ended', () => this.#held.size === before.length);
  }
}

interface Told {
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Keeps what is told, and reads it by its message. */
class KeptLog implements Logger {
  readonly #told: Told[] = [];
  readonly debug = (): void => {};
  readonly info = (fields: object, message: string): void =>
    void this.#told.push({ message, fields: Object.fromEntries(Object.entries(fields)) });
  readonly warn = this.info;
  readonly error = this.info;

  child(): Logger {
    return this;
  }

  of(message: string): readonly Told['fields'][] {
    return this.#told.filter((each) => each.message === message).map(({ fields }) => fields);
  }
}

/** A small filesystem for images alone. */
async function smallDisk(bytes: number): Promise<AsyncDisposable & { readonly path: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'berth-disk-'));
  const [image, path] = [join(dir, 'disk.ext4'), join(dir, 'mounted')];
  await mkdir(path);
  await hostProgram(['truncate', `--size=${bytes}`, image]);
  await hostProgram(['mkfs.ext4', '-q', '-m', '0', image]);
  await hostProgram(['mount', '-o', 'loop', image, path]);
  return {
    path,
    async [Symbol.asyncDispose]() {
      await tryHostProgram(['umount', '-R', path]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function usedPercent(path: string): Promise<number> {
  const { blocks, bavail } = await statfs(path);
  return 100 - (bavail * 100) / blocks;
}

async function apply(agent: Agent, name: string, spec: Partial<PodSpec>): Promise<void> {
  const reader = await loadManifestReader();
  for (const { object } of reader.readText(podManifest(name, spec))) if (object) await agent.local?.apply(object);
}

const phaseOf = (agent: Agent, name: string): string | undefined =>
  agent.pods().find(({ pod }) => pod?.metadata?.name === name)?.status?.phase;

async function deleteAll(agent: Agent): Promise<void> {
  for (const { pod } of agent.pods())
    await agent.local?.delete({ kind: 'Pod', namespace: 'default', name: pod?.metadata?.name ?? '' }, 0);
  await eventually('nothing is left', () => agent.pods().length === 0);
}

describe.skipIf(!able)('images', () => {
  let registry: TestRegistry;
  let folder: string;
  const named = (name: string): string => `${registry.host}/team/${name}:1`;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-garbage-'));
    registry = await TestRegistry.open();
    // Content that cannot be packed, so that each takes the same place twice: as it came and unpacked.
    for (const name of ['used', 'ended', 'pinned', 'oldest', 'older', 'newest', 'young']) {
      const path = join(folder, `${name}.tar`);
      const content = randomBytes(6 * mebi);
      await makeBusyboxImage({ path, reference: `${name}:1`, files: { [`/${name}`]: { content, mode: 0o644 } } });
      await registry.push(`oci-archive:${path}`, `team/${name}:1`);
      await rm(path);
    }
  });

  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test('over the high mark those unused longest go, each with a reason; what is needed stays and says why', async ({
    signal,
  }) => {
    await using disk = await smallDisk(320 * mebi);
    const stateDir = join(disk.path, 'state');
    const kubelet = withDefaults({
      ...{ imageGCHighThresholdPercent: highPercent, imageGCLowThresholdPercent: highPercent - 6 },
      ...{ imageMaximumGCAge: 86_400_000, evictionHard: {} },
    });
    await using world = await AgentWorld.open((config) => ({
      ...{ ...config, kubelet, paths: { ...config.paths, stateDir } },
      runtime: { ...config.runtime, insecureRegistries: [registry.host] },
    }));
    const clock = new RoundsClock();
    const log = new KeptLog();
    await using agent = await openAgent(world.config, { log, clock }, signal);
    const pull = async (name: string): Promise<void> => {
      await agent.imageStore?.pullImage({ image: { image: named(name) } }, signal);
      // Whatever looks at it, what was used last is told by the clock.
      clock.skip(1000);
    };
    const removed = (): string[] => log.of('image removed').map(({ image }) => String(image).replace(/.*\/|:1$/g, ''));
    const reasons = async (): Promise<Record<string, string>> =>
      Object.fromEntries(
        (await agent.explainImages(signal)).map(({ image, text }) => [
          image.names[0]?.replace(/.*\/|:1$/g, '') ?? image.id,
          text,
        ]),
      );
    const fill = async (upTo: number): Promise<void> => {
      const { blocks, bsize } = await statfs(disk.path);
      const bytes = Math.ceil(((upTo - (await usedPercent(disk.path))) * blocks * bsize) / 100);
      await hostProgram(['fallocate', `--length=${bytes}`, join(disk.path, `ballast-${upTo}`)]);
    };

    for (const name of ['oldest', 'older', 'newest', 'pinned']) await pull(name);
    await agent.imageStore?.pin(named('pinned'), true, signal);
    const container = (image: string, text: string) => ({ ...script('main', text), image });
    await apply(agent, 'user', { containers: [container(named('used'), 'exec sleep 1000000')] });
    await apply(agent, 'gone', { restartPolicy: 'Never', containers: [container(named('ended'), 'true')] });
    await eventually('one runs', () => phaseOf(agent, 'user') === 'Running');
    await eventually('one has ended', () => phaseOf(agent, 'gone') === 'Succeeded');

    // Nothing is wanted yet.
    clock.skip(200_000);
    await pull('young');
    await clock.round();
    expect(removed()).toEqual([]);
    const enoughText = async (): Promise<string> =>
      `image filesystem is ${Math.ceil(await usedPercent(disk.path))}% full, images go from ${highPercent}%`;
    const held = {
      used: 'used by container main of pod default/user',
      ended: 'used by the ended container main of pod default/gone',
      pinned: 'pinned',
      busybox: 'imported from an archive, nobody could pull it again',
    };
    // A log may grow by the last block of a percent meanwhile.
    const before = await enoughText();
    const told = await reasons();
    const enough = told['oldest'] === before ? before : await enoughText();
    expect(told).toEqual({
      ...held,
      ...{ oldest: enough, older: enough, newest: enough },
      young: expect.stringMatching(/^came less than the minimum age ago, may go in \d+ s$/) as string,
    });

    // Two of them bring it down from there to the low mark.
    await fill(highPercent + 0.5);
    expect((await reasons())['oldest']).toBe('nothing keeps it');
    await clock.round();
    expect(removed()).toEqual(['oldest', 'older']);
    const why = `image filesystem is ${highPercent + 1}% full (images go from ${highPercent}% down to ${highPercent - 6}%)`;
    expect(log.of('image removed').map((each) => each['why'])).toEqual([why, why]);
    await eventually('its place is free', async () => (await usedPercent(disk.path)) <= highPercent - 6);
    expect(Object.keys(await reasons()).sort()).toEqual(['busybox', 'ended', 'newest', 'pinned', 'used', 'young']);

    // More is wanted than those that may go can give: it is said, and the others stay all the same.
    await fill(highPercent + 12);
    await clock.round();
    expect(removed()).toEqual(['oldest', 'older', 'newest']);
    expect(agent.events().map(({ reason, message }) => `${reason}: ${message}`)).toContainEqual(
      expect.stringMatching(/^FreeDiskSpaceFailed: Insufficient free disk space on the node's image filesystem \(\d/),
    );
    expect(Object.keys(await reasons()).sort()).toEqual(['busybox', 'ended', 'pinned', 'used', 'young']);
    expect(await agent.runtime.images.imageStatus({ image: { image: sampleImage } }, signal)).toMatchObject({
      image: { repoTags: expect.arrayContaining([sampleImage]) as string[] },
    });

    // Below the mark again, one that nobody used for a day goes by its age alone.
    await rm(join(disk.path, `ballast-${highPercent + 12}`));
    await rm(join(disk.path, `ballast-${highPercent + 0.5}`));
    clock.skip(86_500_000);
    await clock.round();
    expect(removed()).toEqual(['oldest', 'older', 'newest', 'young']);
    expect(log.of('image removed').at(-1)).toMatchObject({ why: 'not used for more than 86400 s' });
    expect(await reasons()).toEqual(held);
    expect(phaseOf(agent, 'user')).toBe('Running');
    await deleteAll(agent);
  });
});

describe.skipIf(!able)('dead containers', () => {
  test('too young ones stay, then those beyond the counts go, the oldest first, each with a reason', async ({
    signal,
  }) => {
    await using world = await AgentWorld.open();
    const log = new KeptLog();
    await using agent = await openAgent(world.config, { log, clock: systemClock }, signal);
    const { runtime } = agent.runtime;
    const names = ['first', 'second', 'third'];
    for (const name of names) {
      const initContainers = [script('before', 'true'), script('between', 'true')];
      await apply(agent, name, { restartPolicy: 'Never', initContainers, containers: [script('main', 'true')] });
      await eventually(`${name} has ended`, () => phaseOf(agent, name) === 'Succeeded');
    }
    await apply(agent, 'living', { containers: [script('main', 'exec sleep 1000000')] });
    await eventually('one runs', () => phaseOf(agent, 'living') === 'Running');

    const left = async (): Promise<string[]> => {
      const { containers = [] } = await runtime.listContainers({}, never);
      return containers
        .toSorted((a, b) => Number(a.createdAt) - Number(b.createdAt))
        .map(({ labels = {} }) => `${labels['io.kubernetes.pod.name']}/${labels['io.kubernetes.container.name']}`);
    };
    const collect = async (policy: Partial<ContainerPolicy>, endedPodsToo = false): Promise<number> => {
      const { containers: present = [] } = await runtime.listContainers({}, never);
      const ids = new Set(present.map(({ id }) => id));
      const collector = new ContainerCollector(
        { maxPerPodContainer: -1, maxContainers: -1, minAgeMs: 0, ...policy },
        {
          ...{ clock: systemClock, log, runtime },
          pods: () =>
            agent.pods().flatMap(({ uid, observed, status }) => {
              const containers = observed?.containers.filter(({ id }) => ids.has(id)) ?? [];
              const life = status?.phase === 'Succeeded' ? ('ended' as const) : ('alive' as const);
              return observed ? [{ uid, life, seen: { ...observed, containers } }] : [];
            }),
          removeLogs: () => Promise.resolve(),
          changed: () => {},
        },
      );
      return await collector.collect({ endedPodsToo }, signal);
    };
    const told = (): string[] =>
      log.of('dead container removed').map(({ container, why }) => `${String(container)}: ${String(why)}`);
    const all = names.flatMap((name) => ['before', 'between', 'main'].map((each) => `${name}/${each}`));
    expect(await left()).toEqual([...all, 'living/main']);

    expect(await collect({ minAgeMs: 3_600_000, maxPerPodContainer: 0, maxContainers: 0 })).toBe(0);
    expect(await collect({ maxPerPodContainer: 1 })).toBe(0);
    expect(await collect({ maxContainers: 5 })).toBe(4);
    expect(await left()).toEqual([...all.slice(4), 'living/main']);
    const tooMany = 'more than 5 dead containers on the node are not kept';
    expect(told().toSorted()).toEqual(
      ['before', 'before', 'between', 'main'].map((name) => `${name}: ${tooMany}`).toSorted(),
    );
    expect(await collect({}, true)).toBe(5);
    expect(told().slice(4).toSorted()).toEqual(
      ['before', 'between', 'between', 'main', 'main'].map(
        (name) => `${name}: its pod has ended and the node is short of disk space`,
      ),
    );
    expect(await left()).toEqual(['living/main']);
    // What was told of them stays told.
    for (const name of names) {
      const found = agent.pods().find(({ pod }) => pod?.metadata?.name === name);
      expect(found?.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(0);
    }
    expect(phaseOf(agent, 'living')).toBe('Running');
    await deleteAll(agent);
    expect(await world.leftovers()).toEqual([]);
  });
});
