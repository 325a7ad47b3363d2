import { parseHierarchy } from '../resources/cgroups/hierarchy.js';
import { lack, note, ok, type Finding } from './finding.js';
import type { Host } from './host.js';

const needed = ['cpu', 'memory', 'pids'] as const;

/** How cgroups are mounted, and whether what pods need is there. */
export async function checkCgroups(host: Host): Promise<Finding[]> {
  const mountInfo = (await host.read('/proc/self/mountinfo')) ?? '';
  const hierarchy = parseHierarchy(mountInfo);
  if (hierarchy.version === 2) return [checkV2((await host.read('/sys/fs/cgroup/cgroup.controllers')) ?? '')];
  const missing = needed.filter((name) => !hierarchy.controllers.has(name));
  if (hierarchy.controllers.size === 0)
    return [lack('cgroups', 'nothing is mounted', 'mount -t cgroup2 none /sys/fs/cgroup')];
  if (missing.length > 0)
    return [lack('cgroups', `version 1, without ${missing.join(', ')}`, ...missing.map(mountV1).flat())];
  return [
    ok('cgroups', `version 1: ${[...hierarchy.controllers.keys()].join(', ')}`),
    ...(await checkHybrid(host, mountInfo)),
  ];
}

function checkV2(controllers: string): Finding {
  const present = controllers.trim().split(/\s+/);
  const missing = needed.filter((name) => !present.includes(name));
  if (missing.length === 0) return ok('cgroups', `version 2: ${present.join(', ')}`);
  return lack(
    'cgroups',
    `version 2, without ${missing.join(', ')}`,
    'let the agent run in a cgroup with these controllers (systemd: Delegate=yes), or boot without cgroup_disable=',
  );
}

const mountV1 = (name: string): string[] => [
  `mkdir -p /sys/fs/cgroup/${name}`,
  `mount -t cgroup -o ${name} cgroup /sys/fs/cgroup/${name}`,
];

/** crun takes a machine for version 2 when a v2 tree beside v1 hierarchies holds a controller, and then finds nothing there. */
async function checkHybrid(host: Host, mountInfo: string): Promise<Finding[]> {
  const beside = mountInfo
    .split('\n')
    .find((line) => line.includes(' - cgroup2 '))
    ?.split(' ')[4];
  if (beside === undefined) return [];
  const held = ((await host.read(`${beside}/cgroup.controllers`)) ?? '')
    .trim()
    .split(/\s+/)
    .filter((name) => name !== '');
  if (held.length === 0) return [];
  return [
    note(
      'hybrid cgroups',
      `the version 2 tree at ${beside} holds ${held.join(', ')}: crun refuses such a machine (runc does not)`,
      ...held.flatMap(mountV1),
    ),
  ];
}
