import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import {
  cgroupFolders,
  controllerFolder,
  detectHierarchy,
  type CgroupHierarchy,
} from '../../../agent/resources/cgroups/hierarchy.js';
import { MachineCgroups } from '../../../agent/resources/cgroups/machine-cgroups.js';
import { LogLines } from '../controlplane/cluster-world.js';
import { until } from '../../support/until.js';

const machine = await detectHierarchy();
/** Where v1 is in use there is often a tree of v2 beside it: without controllers, and processes are moved in it all the same. */
const besideV1 =
  machine.version === 1 ? machine.others.find((root) => existsSync(join(root, 'cgroup.controllers'))) : undefined;
const hierarchies: [string, CgroupHierarchy][] = [
  [`version ${machine.version}`, machine],
  ...(besideV1 === undefined
    ? []
    : [['version 2 beside it', { version: 2, root: besideV1 }] as [string, CgroupHierarchy]]),
];

describe.each(hierarchies)('processes of a machine with cgroups of %s', (_which, hierarchy) => {
  const controllers: CgroupHierarchy = hierarchy.version === 2 ? hierarchy : { ...hierarchy, others: [] };
  let root: string;
  let children: ChildProcess[];
  let log: LogLines;
  const from = (): string => `${root}/from`;
  beforeEach(() => {
    root = `/berth-test-${randomBytes(4).toString('hex')}`;
    children = [];
    log = new LogLines();
    make(root, '/');
    make(from(), root);
  });
  afterEach(async () => {
    for (const child of children) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await ended;
    }
    for (const cgroup of ['a/system', 'a', 'kubelet', 'elsewhere', 'from', ''])
      for (const folder of cgroupFolders(controllers, `${root}/${cgroup}`)) if (existsSync(folder)) rmdirSync(folder);
    expect(cgroupFolders(controllers, root).filter((folder) => existsSync(folder))).toEqual([]);
  });

  function make(cgroup: string, above: string): void {
    for (const folder of cgroupFolders(controllers, cgroup)) mkdirSync(folder);
    if (hierarchy.version === 2) return;
    const [to = '', source = ''] = [cgroup, above].map((each) => controllerFolder(hierarchy, 'cpuset', each));
    for (const file of to === '' ? [] : ['cpuset.cpus', 'cpuset.mems'])
      writeFileSync(join(to, file), readFileSync(join(source, file)));
  }
  function start(cgroup: string): number {
    const child = spawn('sleep', ['3600'], { stdio: 'ignore' });
    children.push(child);
    for (const folder of cgroupFolders(controllers, cgroup))
      writeFileSync(join(folder, 'cgroup.procs'), `${child.pid}`);
    return child.pid ?? 0;
  }
  const inside = (cgroup: string): readonly number[][] =>
    cgroupFolders(controllers, cgroup).map((folder) =>
      readFileSync(join(folder, 'cgroup.procs'), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map(Number)
        .sort((a, b) => a - b),
    );
  const everywhere = (...pids: number[]): readonly number[][] =>
    cgroupFolders(controllers, root).map(() => pids.toSorted((a, b) => a - b));
  const settler = (options: { own?: string; system?: string; pid?: number; settledMs?: number }): MachineCgroups =>
    new MachineCgroups({ hierarchy, from: from(), settledMs: 0, ...options }, { clock: systemClock, log: log.logger });

  test('those that nobody gave a cgroup get the one for the system, in every controller', async () => {
    const [one, two] = [start(from()), start(from())];
    // A cgroup of its own in what counts, as a container has it.
    const contained = start(from());
    make(`${root}/elsewhere`, root);
    const counts = controllerFolder(hierarchy, 'memory', `${root}/elsewhere`) ?? '';
    writeFileSync(join(counts, 'cgroup.procs'), `${contained}`);
    const cgroups = settler({ system: `${root}/a/system/` });
    cgroups.settle();
    cgroups.settle();
    expect(inside(`${root}/a/system`)).toEqual(everywhere(one, two));
    expect(readFileSync(join(counts, 'cgroup.procs'), 'utf8')).toBe(`${contained}\n`);
    if (hierarchy.version === 1) expect(inside(from()).flat()).toContain(contained);
    expect(log.text.match(/were moved/g)).toHaveLength(1);
    expect(log.text).not.toContain('"level":40');
    const late = start(from());
    cgroups.settle();
    expect(inside(`${root}/a/system`)).toEqual(everywhere(one, two, late));
  });

  test('one that was just started may be on its way to a container, and is left until it has been there for a while', async () => {
    const young = start(from());
    const cgroups = settler({ system: `${root}/a/system`, settledMs: 1500 });
    cgroups.settle();
    expect(inside(from())).toEqual(everywhere(young));
    await until('it is moved', () => {
      cgroups.settle();
      return inside(from()).flat().length === 0;
    });
    expect(inside(`${root}/a/system`)).toEqual(everywhere(young));
  });

  test('the agent has a cgroup of its own, and does not go with the others', () => {
    const [agent, other] = [start(from()), start(from())];
    const cgroups = settler({ own: `${root}/kubelet`, system: `${root}/a/system`, pid: agent });
    cgroups.settle();
    expect([inside(`${root}/kubelet`), inside(`${root}/a/system`)]).toEqual([everywhere(agent), everywhere(other)]);
    cgroups.settle();
    expect([inside(`${root}/kubelet`), inside(from())]).toEqual([everywhere(agent), everywhere()]);
    expect(log.text.match(/runs in the cgroup/g)).toHaveLength(1);
  });

  test('nothing is touched without a name, and what cannot be is told once', () => {
    const pid = start(from());
    settler({ pid }).settle();
    expect(inside(from())).toEqual(everywhere(pid));
    expect(log.text).toBe('');
    // A file is in the way.
    const cgroups = settler({ system: `${root}/cgroup.procs/below` });
    cgroups.settle();
    cgroups.settle();
    expect(log.text.match(/"level":40/g)).toHaveLength(1);
    expect(inside(from())).toEqual(everywhere(pid));
  });
});
