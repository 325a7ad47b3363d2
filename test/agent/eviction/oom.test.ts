import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { OomWatch } from '../../../agent/eviction/index.js';
import { oomKillsInKernelLog } from '../../../agent/eviction/kernel-log.js';
import { controllerFolder, detectHierarchy } from '../../../agent/resources/cgroups/hierarchy.js';
import { ResourceMonitor } from '../../../agent/stats/index.js';
import { LeakCheck } from '../../support/leak-check.js';
import { until } from '../../support/until.js';

/** That the machine itself runs out of memory cannot be brought about in a test: what the kernel writes then is a unit test's. */
test.skipIf(oomKillsInKernelLog() === undefined)(
  'a process that is killed for its cgroup, which goes with it, is seen and is no lack of memory of the machine',
  async () => {
    await using _leaks = await LeakCheck.open({ tokens: ['berth-test-oom'], kinds: ['cgroup'] });
    const hierarchy = await detectHierarchy();
    const cgroup = `/berth-test-oom-${randomBytes(4).toString('hex')}`;
    const folder = controllerFolder(hierarchy, 'memory', cgroup) ?? '';
    mkdirSync(folder);
    const monitor = new ResourceMonitor({ hierarchy, system: () => [] }, { clock: systemClock, pods: () => [] });
    const watch = new OomWatch();
    watch.look(monitor.node(), () => monitor.snapshot(0));
    const limit = hierarchy.version === 2 ? 'memory.max' : 'memory.limit_in_bytes';
    writeFileSync(join(folder, limit), '20M');
    const greedy = 'const all = []; while (true) all.push(Buffer.alloc(1e6, 1));';
    const script = `echo $$ > ${folder}/cgroup.procs; exec ${process.execPath} -e '${greedy}'`;
    const child = spawn('sh', ['-c', script], { stdio: 'ignore' });
    const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    expect(signal).toBe('SIGKILL');
    await until('the cgroup is empty', () => {
      try {
        rmdirSync(folder);
        return true;
      } catch {
        return false;
      }
    });
    expect(oomKillsInKernelLog()).toContainEqual({
      sequence: expect.any(Number) as number,
      process: expect.stringMatching(/^(node|sh)/) as string,
      pid: child.pid,
      system: false,
    });
    expect(watch.look(monitor.node(), () => monitor.snapshot(0))).toEqual({ containers: [], system: [] });
  },
);
