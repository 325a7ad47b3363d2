import { lack, note, ok, type Finding } from './finding.js';
import type { Host } from './host.js';

/** Bits of linux/capability.h. */
const capabilities = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_SYS_RESOURCE: 24 } as const;

export async function checkKernel(host: Host): Promise<Finding[]> {
  return [
    checkRoot(host),
    ...(await checkCapabilities(host)),
    await checkOverlay(host),
    await checkNamespaces(host),
    await checkForwarding(host),
    await checkBridgeFilter(host),
    await checkPropagation(host),
    ...(await checkSelinux(host)),
  ];
}

function checkRoot({ uid }: Host): Finding {
  return uid === 0 ? ok('user', 'root') : lack('user', `uid ${uid}`, 'run berth as root: sudo berth ...');
}

async function checkCapabilities(host: Host): Promise<Finding[]> {
  const status = (await host.read('/proc/self/status')) ?? '';
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const has = (bit: number): boolean => ((mask >> BigInt(bit)) & 1n) === 1n;
  const findings: Finding[] = [];
  for (const name of ['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'] as const)
    if (!has(capabilities[name]))
      findings.push(
        lack(
          name,
          'missing',
          `give it to the process that starts berth (in a container: --cap-add ${name.slice('CAP_'.length)}, or --privileged)`,
        ),
      );
  if (!has(capabilities.CAP_SYS_RESOURCE))
    findings.push(
      note(
        'CAP_SYS_RESOURCE',
        'missing; out-of-memory scores below that of the agent and higher limits of open files cannot be set for pods, they are clamped',
        'start berth on the machine itself, or with --cap-add SYS_RESOURCE',
      ),
    );
  return findings.length === 0 ? [ok('capabilities', 'all that are needed')] : findings;
}

async function checkOverlay(host: Host): Promise<Finding> {
  const known = (await host.read('/proc/filesystems')) ?? '';
  if (/\boverlay$/m.test(known)) return ok('overlayfs', 'known to the kernel');
  const release = ((await host.read('/proc/sys/kernel/osrelease')) ?? '').trim();
  const modules = (await host.read(`/lib/modules/${release}/modules.builtin`)) ?? '';
  const loadable = (await host.read(`/lib/modules/${release}/modules.dep`)) ?? '';
  if (/\/overlay\.ko/.test(modules + loadable))
    return note(
      'overlayfs',
      'a module that is not loaded',
      'modprobe overlay',
      'echo overlay > /etc/modules-load.d/berth.conf',
    );
  return lack('overlayfs', 'the kernel does not have it', 'boot a kernel with CONFIG_OVERLAY_FS');
}

async function checkNamespaces(host: Host): Promise<Finding> {
  const present = await host.list('/proc/self/ns');
  const missing = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'uts'].filter((name) => !present.includes(name));
  if (missing.length > 0)
    return lack(
      'namespaces',
      `the kernel has no ${missing.join(', ')} namespaces`,
      'boot a kernel with namespaces (every distribution has one)',
    );
  return present.includes('user')
    ? ok('namespaces', 'cgroup, ipc, mnt, net, pid, user, uts')
    : note('namespaces', 'no user namespaces; pods with hostUsers: false cannot run');
}

async function checkForwarding(host: Host): Promise<Finding> {
  const enabled = (await host.read('/proc/sys/net/ipv4/ip_forward'))?.trim();
  if (enabled === '1') return ok('IP forwarding', 'on');
  return note(
    'IP forwarding',
    'off; the bridge plugin turns it on when the first pod is attached, other plugins may not',
    'sysctl -w net.ipv4.ip_forward=1',
    'echo net.ipv4.ip_forward=1 > /etc/sysctl.d/90-berth.conf',
  );
}

/** Matters where something filters bridged traffic by iptables: host ports from one pod of a bridge to another on it. */
async function checkBridgeFilter(host: Host): Promise<Finding> {
  const subject = 'br_netfilter';
  const setting = (await host.read('/proc/sys/net/bridge/bridge-nf-call-iptables'))?.trim();
  if (setting === '1') return ok(subject, 'bridged traffic passes iptables');
  const found = setting === undefined ? 'not loaded' : 'loaded, bridged traffic does not pass iptables';
  return note(
    subject,
    `${found}; services of a cluster (kube-proxy) need it, pods of one machine do not`,
    ...(setting === undefined ? ['modprobe br_netfilter'] : []),
    'sysctl -w net.bridge.bridge-nf-call-iptables=1',
  );
}

/** systemd shares all mounts; a container or a machine without it often does not. */
async function checkPropagation(host: Host): Promise<Finding> {
  const subject = 'mount propagation';
  const mounts = (await host.read('/proc/self/mountinfo')) ?? '';
  const root = mounts.split('\n').findLast((line) => line.split(' ')[4] === '/');
  if (root === undefined || / shared:\d+ .*- /.test(root)) return ok(subject, 'mounts of this machine are shared');
  return note(
    subject,
    'the mounts of this machine are private; what a container mounts for others (mountPropagation: Bidirectional, as CSI drivers in pods do) is seen by nobody',
    'mount --make-rshared /',
    'or for the folder of the pods alone: berth agent --share-root-dir',
  );
}

/** Nothing is said of it on a machine without. */
async function checkSelinux(host: Host): Promise<Finding[]> {
  if ((await host.read('/sys/fs/selinux/enforce'))?.trim() !== '1') return [];
  const found =
    'enforcing; volumes are not labelled for pods (neither by relabelling nor with mount -o context=), so a pod with a label of its own may be refused its files';
  return [note('SELinux', found, 'label the folders of volumes container_file_t, or give the pods the type spc_t')];
}
