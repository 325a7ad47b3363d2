import { expect, test } from 'vitest';
import type { NodeSnapshot, UsageSnapshot } from '../stats/index.js';
import { parseOomKill, type OomKill } from './kernel-log.js';
import { OomWatch } from './oom-watch.js';

const line = (scope: string, cgroup: string): string =>
  `6,262160,41765606014,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0-1,${scope},task_memcg=${cgroup},task=my, app,pid=3555,uid=0\n`;

test.each([
  ['a limit of a cgroup', line('oom_memcg=/kubepods/pod1', '/kubepods/pod1/c'), false],
  ['the whole machine', line('global_oom', '/kubepods/pod1/c'), true],
  ['a process of no cgroup', line('oom_memcg=/', '/'), true],
])('%s', (_, record, system) =>
  expect(parseOomKill(record)).toEqual({ sequence: 262_160, process: 'my, app', pid: 3555, system }),
);

test('what others write to the log of the kernel is not taken for its own', () => {
  expect(parseOomKill(line('global_oom', '/').replace(/^6,/, '14,'))).toBeUndefined();
  expect(parseOomKill('6,1,2,-;Memory cgroup out of memory: Killed process 3555 (node)')).toBeUndefined();
});

const node = (oomKills: number): NodeSnapshot => ({ oomKills }) as NodeSnapshot;
const pods = (kills: Readonly<Record<string, number>>) => (): UsageSnapshot =>
  ({
    pods: [
      {
        pod: { uid: 'u' },
        containers: Object.entries(kills).map(([id, oomKills]) => ({
          container: { id, name: id },
          usage: { oomKills },
        })),
      },
    ],
  }) as unknown as UsageSnapshot;

const kill = (sequence: number, system: boolean): OomKill => ({
  ...{ sequence, system },
  process: `p${sequence}`,
  pid: sequence,
});

test('only new kills count; whose they were the log says, also of containers that are gone', () => {
  const log = [kill(7, true)];
  const watch = new OomWatch(() => log);
  expect(watch.look(node(5), pods({ a: 1 }))).toBeUndefined();
  expect(watch.look(node(5), pods({ a: 1 }))).toBeUndefined();
  log.push(kill(20, false));
  expect(watch.look(node(6), pods({}))).toEqual({ containers: [], system: [] });
  log.push(kill(21, false), kill(35, true));
  expect(watch.look(node(8), pods({ b: 1 }))).toEqual({
    containers: [{ podUid: 'u', container: 'b', kills: 1 }],
    system: [kill(35, true)],
  });
});

test('a kill of all in a container counts each and has one record: what the log told before is not told again', () => {
  const log: OomKill[] = [];
  const watch = new OomWatch(() => log);
  watch.look(node(0), pods({}));
  log.push(kill(3, true));
  expect(watch.look(node(1), pods({}))?.system).toEqual([kill(3, true)]);
  log.push(kill(9, false));
  expect(watch.look(node(4), pods({ a: 3 }))).toEqual({
    containers: [{ podUid: 'u', container: 'a', kills: 3 }],
    system: [],
  });
});

test('a log that cannot be read, or has lost them already, tells of none', () => {
  for (const kept of [undefined, []]) {
    const watch = new OomWatch(() => kept);
    watch.look(node(1), pods({}));
    expect(watch.look(node(3), pods({}))).toEqual({ containers: [], system: [] });
  }
});
