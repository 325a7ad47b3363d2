import { describe, expect, test } from 'vitest';
import { checkHost, hasLack, packagesToInstall, renderCheck, type CheckGroup } from './check-host.js';
import type { Finding } from './finding.js';
import type { Host } from './host.js';

const places = {
  stateDir: '/var/lib/berth',
  runDir: '/run/berth',
  podLogsDir: '/var/log/pods',
  socketPath: '/run/berth/berth.sock',
  healthzAddress: '127.0.0.1',
  healthzPort: 10_248,
  confDir: '/etc/cni/net.d',
  binDirs: ['/opt/cni/bin', '/usr/lib/cni'],
};

const v1Mounts = ['cpu', 'memory', 'pids'].map(
  (name) => `1 0 0:1 / /sys/fs/cgroup/${name} rw - cgroup cgroup rw,${name}`,
);

/** A small machine on which all is well. */
class World {
  readonly files = new Map<string, string>([
    ['/proc/self/status', 'Name: x\nCapEff:\t000001ffffffffff\n'],
    ['/proc/filesystems', 'nodev\tproc\nnodev\toverlay\n'],
    ['/proc/sys/net/ipv4/ip_forward', '1\n'],
    ['/proc/sys/net/bridge/bridge-nf-call-iptables', '1\n'],
    ['/proc/self/mountinfo', '1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw'],
    ['/sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io memory hugetlb pids\n'],
    ['/usr/share/containers/seccomp.json', '{}'],
    ['/etc/cni/net.d/10-a.conflist', '{"name":"a","plugins":[{"type":"bridge","ipam":{"type":"host-local"}}]}'],
    ['/proc/7/comm', 'bash\n'],
  ]);
  readonly missing = new Set<string>();
  freeBytes = 100e9;
  agentRuns = false;
  portFree = true;
  uid = 0;

  get host(): Host {
    return {
      uid: this.uid,
      executable: (paths) =>
        Promise.resolve(paths.find((path) => !this.missing.has(path.slice(path.lastIndexOf('/') + 1)))),
      read: (path) => Promise.resolve(this.files.get(path)),
      list: (path) => {
        if (path === '/proc/self/ns') return Promise.resolve(['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts']);
        const inside = [...this.files.keys()].filter((each) => each.startsWith(`${path}/`));
        return Promise.resolve([...new Set(inside.map((each) => each.slice(path.length + 1).split('/')[0] ?? ''))]);
      },
      firstLine: ([program]) => Promise.resolve(`${program.slice(program.lastIndexOf('/') + 1)} version 1.0`),
      free: () => Promise.resolve({ bytes: this.freeBytes, inodes: 1e6 }),
      portIsFree: () => Promise.resolve(this.portFree),
      answers: () => Promise.resolve(this.agentRuns),
    };
  }
}

const troubles = (groups: readonly CheckGroup[]): Finding[] =>
  groups.flatMap(({ findings }) => findings.filter(({ level }) => level !== 'ok'));

test('a machine on which all is well', async () => {
  const groups = await checkHost(new World().host, places);
  expect(troubles(groups)).toEqual([]);
  expect(renderCheck(groups, true)).toBe('');
  expect(renderCheck(groups)).toContain('  ✓ CNI plugins: /opt/cni/bin/bridge, /opt/cni/bin/host-local\n');
});

describe('one thing is wrong', () => {
  test.each<[string, (world: World) => void, string, Finding['level'], RegExp]>([
    ['not root', (w) => (w.uid = 1000), 'user', 'lack', /sudo/],
    [
      'no CAP_SYS_RESOURCE',
      (w) => w.files.set('/proc/self/status', 'CapEff:\t000001fffeffffff\n'),
      'CAP_SYS_RESOURCE',
      'note',
      /SYS_RESOURCE/,
    ],
    [
      'no CAP_SYS_ADMIN',
      (w) => w.files.set('/proc/self/status', 'CapEff:\t000001ffffdfffff\n'),
      'CAP_SYS_ADMIN',
      'lack',
      /--privileged/,
    ],
    ['no overlay', (w) => w.files.set('/proc/filesystems', 'nodev\tproc\n'), 'overlayfs', 'lack', /CONFIG_OVERLAY_FS/],
    [
      'overlay not loaded',
      (w) => {
        w.files.set('/proc/filesystems', '');
        w.files.set('/proc/sys/kernel/osrelease', '6.1\n');
        w.files.set('/lib/modules/6.1/modules.dep', 'kernel/fs/overlayfs/overlay.ko:\n');
      },
      'overlayfs',
      'note',
      /modprobe overlay/,
    ],
    ['no forwarding', (w) => w.files.set('/proc/sys/net/ipv4/ip_forward', '0\n'), 'IP forwarding', 'note', /sysctl -w/],
    [
      'no br_netfilter',
      (w) => w.files.delete('/proc/sys/net/bridge/bridge-nf-call-iptables'),
      'br_netfilter',
      'note',
      /modprobe br_netfilter/,
    ],
    ['SELinux', (w) => w.files.set('/sys/fs/selinux/enforce', '1\n'), 'SELinux', 'note', /container_file_t/],
    [
      'private mounts',
      (w) =>
        w.files.set(
          '/proc/self/mountinfo',
          '1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n2 1 0:2 / / rw,relatime - ext4 /dev/sda rw\n3 2 0:3 / /run rw shared:1 - tmpfs tmpfs rw',
        ),
      'mount propagation',
      'note',
      /make-rshared/,
    ],
    [
      'v2 without memory',
      (w) => w.files.set('/sys/fs/cgroup/cgroup.controllers', 'cpu pids\n'),
      'cgroups',
      'lack',
      /Delegate=yes/,
    ],
    ['no cgroups', (w) => w.files.set('/proc/self/mountinfo', ''), 'cgroups', 'lack', /mount -t cgroup2/],
    [
      'hybrid cgroups',
      (w) => {
        w.files.set(
          '/proc/self/mountinfo',
          [...v1Mounts, '1 0 0:1 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw'].join('\n'),
        );
        w.files.set('/sys/fs/cgroup/unified/cgroup.controllers', 'hugetlb\n');
      },
      'hybrid cgroups',
      'note',
      /mount -t cgroup -o hugetlb cgroup \/sys\/fs\/cgroup\/hugetlb/,
    ],
    [
      'v1 without pids',
      (w) => w.files.set('/proc/self/mountinfo', v1Mounts.slice(0, 2).join('\n')),
      'cgroups',
      'lack',
      /-o pids/,
    ],
    ['no conmon', (w) => w.missing.add('conmon'), 'conmon', 'lack', /apt-get install conmon/],
    ['no socat', (w) => w.missing.add('socat'), 'socat', 'note', /apt-get install socat/],
    ['no OCI runtime', (w) => w.missing.add('crun').add('runc'), 'OCI runtime', 'lack', /apt-get install crun/],
    ['only runc', (w) => w.missing.add('crun'), 'OCI runtime', 'note', /apt-get install crun/],
    ['no plugin', (w) => w.missing.add('host-local'), 'CNI plugins', 'lack', /containernetworking-plugins/],
    [
      'no network',
      (w) => w.files.delete('/etc/cni/net.d/10-a.conflist'),
      'CNI configuration',
      'lack',
      /10-berth.conflist/,
    ],
    [
      'broken network',
      (w) => w.files.set('/etc/cni/net.d/10-a.conflist', '{'),
      'CNI configuration',
      'lack',
      /berth demo/,
    ],
    [
      'a broken second network',
      (w) => w.files.set('/etc/cni/net.d/20-b.conf', '{"name":""}'),
      'CNI configuration',
      'note',
      /correct or remove/,
    ],
    ['an agent', (w) => (w.agentRuns = true), 'agent', 'note', /--run-dir/],
    ['a kubelet', (w) => w.files.set('/proc/9/comm', 'kubelet\n'), 'kubelet', 'note', /disable --now kubelet/],
    ['the port', (w) => (w.portFree = false), 'port 10248', 'note', /ss -ltnp/],
  ])('%s', async (_what, spoil, subject, level, remedy) => {
    const world = new World();
    spoil(world);
    const groups = await checkHost(world.host, places);
    expect(troubles(groups).map((each) => [each.subject, each.level])).toEqual([[subject, level]]);
    expect(troubles(groups)[0]?.remedy.join('\n')).toMatch(remedy);
    expect(hasLack(groups)).toBe(level === 'lack');
  });

  test('no room', async () => {
    const world = new World();
    world.freeBytes = 5e6;
    const groups = await checkHost(world.host, places);
    expect(troubles(groups).map(({ subject, level }) => `${level} ${subject}`)).toEqual([
      'lack disk for images and containers',
      'lack disk for runtime files',
      'lack disk for logs',
    ]);
  });

  test('what is to be installed, each package once', () => {
    const found = (remedy: string[]): CheckGroup['findings'][number] => ({
      subject: '',
      level: 'lack',
      found: '',
      remedy,
    });
    const findings = [
      found(['apt-get install crun']),
      found(['apt-get install --reinstall conmon']),
      found(['modprobe overlay', 'apt-get install socat']),
      found(['apt-get install crun']),
    ];
    expect(packagesToInstall([{ title: '', findings }])).toEqual(['crun', 'socat']);
  });
});
