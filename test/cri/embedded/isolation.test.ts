import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { v1 } from '../../../cri/index.js';
import { missingComponents, neverAborted, RuntimeWorld, until } from './runtime-world.js';

const missing = missingComponents();
if (missing !== '') console.warn(`SKIPPED embedded runtime isolation: ${missing}`);

/** Bits of the default capabilities (capability.h order). */
const defaultMask = '00000000a80425fb';

describe.skipIf(missing !== '')('what a container sees of its security settings', () => {
  let world: RuntimeWorld;
  let sandbox: string;
  let containers = 0;
  beforeAll(async () => {
    world = await RuntimeWorld.open();
    const namespaceOptions = { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } as const;
    sandbox = await world.runSandbox('pod', {
      linux: { cgroupParent: world.cgroupParent, securityContext: { namespaceOptions, privileged: true } },
    });
  });
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  const inside = async (
    script: string,
    security: v1.LinuxContainerSecurityContext = {},
    overrides: Partial<v1.ContainerConfig> = {},
  ): Promise<string> => {
    const { text } = await world.output(sandbox, `c${++containers}`, ['sh', '-c', `exec 2>&1; ${script}`], {
      ...overrides,
      linux: {
        ...overrides.linux,
        securityContext: { namespaceOptions: { pid: 'CONTAINER' }, ...security },
      },
    });
    return text.trim();
  };
  const caps = 'sed -n "s/^Cap\\(Bnd\\|Eff\\|Prm\\):\\t//p" /proc/self/status | sort -u';

  test('default capabilities, and none is added by being asked for twice', async () => {
    expect(await inside(caps)).toBe(defaultMask);
    expect(await inside(caps, { capabilities: { addCapabilities: ['CHOWN', 'CAP_KILL'] } })).toBe(defaultMask);
  });

  test('drop ALL leaves none, add NET_ADMIN on top leaves one', async () => {
    expect(await inside(caps, { capabilities: { dropCapabilities: ['ALL'] } })).toBe('0000000000000000');
    const one = { dropCapabilities: ['ALL'], addCapabilities: ['NET_ADMIN'] };
    expect(await inside(caps, { capabilities: one })).toBe('0000000000001000');
  });

  test('an unknown capability is refused', async () => {
    await expect(inside('true', { capabilities: { addCapabilities: ['FLY'] } })).rejects.toThrow(
      /unknown capability FLY/,
    );
  });

  test('numeric user, group and groups; Merge adds the image groups of the account, Strict does not', async () => {
    const as = { runAsUser: { value: 1000 }, supplementalGroups: [5000] };
    expect(await inside('id -u; id -g; id -G', as)).toBe(
      '1000\n1001\n1001 44 5000'.replace('1001 44 5000', await groups([1001, 44, 5000])),
    );
    const strict = await inside('id -G', { ...as, supplementalGroupsPolicy: 'Strict' });
    expect(new Set(strict.split(' '))).toEqual(new Set(['1001', '5000']));
    expect(await inside('id -u; id -g', { runAsUser: { value: 4242 }, runAsGroup: { value: 4343 } })).toBe(
      '4242\n4343',
    );
  });

  /** The order of groups is the kernel's. */
  const groups = async (wanted: number[]): Promise<string> => {
    const got = await inside('id -G', { runAsUser: { value: 1000 }, supplementalGroups: [5000] });
    expect(new Set(got.split(' ').map(Number))).toEqual(new Set(wanted));
    return got;
  };

  test('a user by name comes from the image, HOME with it', async () => {
    expect(await inside('id -un; echo $HOME', { runAsUsername: 'alice' })).toBe('alice\n/home/alice');
    await expect(inside('true', { runAsUsername: 'bob' })).rejects.toThrow(/"bob" is not in the image/);
  });

  test('read-only root; what is mounted can still be written', async () => {
    expect(await inside('touch /x; touch /dev/shm/y && echo shm', { readonlyRootfs: true })).toMatch(
      /Read-only file system\nshm$/,
    );
  });

  test('no_new_privs', async () => {
    expect(await inside('grep NoNewPrivs /proc/self/status', { noNewPrivs: true })).toBe('NoNewPrivs:\t1');
    expect(await inside('grep NoNewPrivs /proc/self/status')).toBe('NoNewPrivs:\t0');
  });

  test('RuntimeDefault seccomp filters, Unconfined and privileged do not', async () => {
    const mode = 'grep Seccomp: /proc/self/status';
    expect(await inside(mode, { seccomp: { profileType: 'RuntimeDefault' } })).toBe('Seccomp:\t2');
    expect(await inside(mode, { seccomp: { profileType: 'Unconfined' } })).toBe('Seccomp:\t0');
    expect(await inside(mode, { privileged: true, seccomp: { profileType: 'RuntimeDefault' } })).toBe('Seccomp:\t0');
    expect(await inside(mode, { seccompProfilePath: 'runtime/default' })).toBe('Seccomp:\t2');
    await expect(inside(mode, { seccompProfilePath: 'mine' })).rejects.toThrow(/there is no profile "mine"/);
    const refused = 'setarch linux64 -R true || echo refused';
    expect(await inside(refused, { seccomp: { profileType: 'RuntimeDefault' } })).toMatch(/refused$/);
  });

  test('RuntimeDefault seccomp lets only CAP_SYS_ADMIN make namespaces, and everybody processes', async () => {
    const seccomp = { profileType: 'RuntimeDefault' } as const;
    const makes = 'sh -c "exit 3" & wait $!; echo $?; unshare -U true && echo made';
    expect(await inside(makes, { seccomp })).toMatch(/^3\n.*Operation not permitted$/);
    expect(await inside(makes, { seccomp, capabilities: { addCapabilities: ['SYS_ADMIN'] } })).toBe('3\nmade');
    expect(await inside(makes)).toBe('3\nmade');
  });

  test('a Localhost seccomp profile does what it says; a missing one is named', async () => {
    const profile = join(world.folder, 'no-mkdir.json');
    await writeFile(
      profile,
      JSON.stringify({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
      }),
    );
    const seccomp = { profileType: 'Localhost', localhostRef: profile } as const;
    expect(await inside('mkdir /tmp/x', { seccomp })).toMatch(/Operation not permitted/);
    const none = { profileType: 'Localhost', localhostRef: '/no/such/profile.json' } as const;
    await expect(inside('true', { seccomp: none })).rejects.toThrow(/\/no\/such\/profile\.json/);
  });

  test('masked and read-only paths', async () => {
    expect(
      await inside('wc -c < /proc/timer_list; echo 1 > /proc/sys/kernel/panic', {
        maskedPaths: ['/proc/timer_list'],
        readonlyPaths: ['/proc/sys'],
      }),
    ).toMatch(/^0\n.*Read-only file system/);
  });

  test('privileged: all capabilities of this machine, host devices, writable /sys', async () => {
    const own = /CapBnd:\t(\S+)/.exec(await readFile('/proc/self/status', 'utf8'))?.[1];
    expect(await inside(caps, { privileged: true })).toBe(own);
    expect(await inside('ls /dev/vda /dev/kmsg /dev/loop0 2>/dev/null | head -1', { privileged: true })).not.toBe('');
    expect(await inside('grep " /sys sysfs" /proc/mounts', { privileged: true })).toContain(' rw,');
    expect(await inside('grep " /sys sysfs" /proc/mounts')).toContain(' ro,');
    expect(await inside('ls /dev/vda')).toMatch(/No such file/);
  });

  test('a device by name, with its permissions', async () => {
    const devices = [{ hostPath: '/dev/loop0', containerPath: '/dev/mine', permissions: 'r' }];
    const script = 'true < /dev/mine && echo readable; echo x > /dev/mine || echo no; ls -l /dev/mine';
    expect(await inside(script, {}, { devices })).toMatch(/^readable\n.*Operation not permitted\n.*no\nb.* 7, +0 /s);
    await expect(inside('true', {}, { devices: [{ hostPath: '/dev/none', containerPath: '/dev/x' }] })).rejects.toThrow(
      /\/dev\/none is not a device/,
    );
  });

  test('oom_score_adj: given when higher, raised to what this process may set when lower', async () => {
    const score = async (oomScoreAdj: number): Promise<number> =>
      Number(await inside('cat /proc/self/oom_score_adj', {}, { linux: { resources: { oomScoreAdj } } }));
    expect(await score(1000)).toBe(1000);
    const own = Number(await readFile('/proc/self/oom_score_adj', 'utf8'));
    expect(await score(-997)).toBeLessThanOrEqual(Math.max(-997, own));
  });

  test('limits arrive in the cgroup', async () => {
    const resources = { memoryLimitInBytes: 48 * 1024 * 1024, cpuShares: 307, cpuPeriod: 50_000, cpuQuota: 20_000 };
    const id = await world.startContainer(sandbox, `c${++containers}`, ['sleep', '1000'], { linux: { resources } });
    const read = async (controller: string, file: string): Promise<string> =>
      (await readFile(`/sys/fs/cgroup/${controller}${world.cgroupParent}/${id}/${file}`, 'utf8')).trim();
    expect(await read('memory', 'memory.limit_in_bytes')).toBe(String(48 * 1024 * 1024));
    expect(await read('cpu', 'cpu.shares')).toBe('307');
    expect(await read('cpu', 'cpu.cfs_quota_us')).toBe('20000');
    await world.runtime.updateContainerResources(
      { containerId: id, linux: { memoryLimitInBytes: 64 * 1024 * 1024, cpuQuota: 30_000 } },
      neverAborted(),
    );
    expect(await read('memory', 'memory.limit_in_bytes')).toBe(String(64 * 1024 * 1024));
    expect(await read('cpu', 'cpu.cfs_quota_us')).toBe('30000');
    expect(await read('cpu', 'cpu.shares')).toBe('307');
  });

  test('OOM is told apart', async () => {
    const id = await world.startContainer(sandbox, `c${++containers}`, ['sh', '-c', 'exec tail -c 200m /dev/zero'], {
      linux: { resources: { memoryLimitInBytes: 16 * 1024 * 1024 } },
    });
    expect(await world.exited(id)).toMatchObject({ exitCode: 137, reason: 'OOMKilled' });
  });

  test('an image user link to outside is read inside the root only', async () => {
    // /etc/passwd of the image is a link to a file that only the host has: no name is found through it.
    const evil = await RuntimeWorld.open();
    try {
      const layer = evil.image.lowerDirs[0] ?? '';
      const secret = join(evil.folder, 'host-passwd');
      await writeFile(secret, 'mallory:x:7777:7777::/:/bin/sh\n');
      const { rm, symlink } = await import('node:fs/promises');
      await rm(join(layer, 'etc/passwd'));
      await symlink(secret, join(layer, 'etc/passwd'));
      const pod = await evil.runSandbox();
      await expect(
        evil.createContainer(pod, 'main', ['true'], { linux: { securityContext: { runAsUsername: 'mallory' } } }),
      ).rejects.toThrow(/"mallory" is not in the image/);
    } finally {
      await evil[Symbol.asyncDispose]();
    }
  });

  test('mounts: propagation, nested order, a missing source is made, read-only down to the mounts below', async () => {
    const { hostProgram } = await import('../../support/host-program.js');
    const shared = join(world.folder, 'shared');
    await mkdir(join(shared, 'below'), { recursive: true });
    await hostProgram(['mount', '--bind', shared, shared]);
    await hostProgram(['mount', '--make-shared', shared]);
    try {
      const id = await world.startContainer(sandbox, `c${++containers}`, ['sleep', '1000'], {
        mounts: [
          { containerPath: '/a/b', hostPath: join(world.folder, 'made', 'here') },
          { containerPath: '/a', hostPath: join(world.folder, 'outer') },
          { containerPath: '/slave', hostPath: shared, propagation: 'PROPAGATION_HOST_TO_CONTAINER' },
          { containerPath: '/private', hostPath: shared },
          { containerPath: '/rro', hostPath: shared, readonly: true, recursiveReadOnly: true },
        ],
      });
      await hostProgram(['mount', '-t', 'tmpfs', 'berth-test', join(shared, 'below')]);
      await writeFile(join(shared, 'below', 'seen'), '');
      expect(await world.exec(id, 'ls', '/slave/below')).toBe('seen');
      expect(await world.exec(id, 'ls', '/private/below')).toBe('');
      expect(await world.exec(id, 'sh', '-c', 'touch /a/b/x /a/y && ls /a')).toBe('b\ny');
      await world.runtime.removeContainer({ containerId: id }, neverAborted());
      const rro = await world.startContainer(sandbox, `c${++containers}`, ['sleep', '1000'], {
        mounts: [
          { containerPath: '/rro', hostPath: shared, readonly: true, recursiveReadOnly: true },
          { containerPath: '/ro', hostPath: shared, readonly: true },
        ],
      });
      expect(await world.exec(rro, 'sh', '-c', 'touch /rro/below/x 2>&1 || echo no')).toMatch(/no$/);
      expect(await world.exec(rro, 'sh', '-c', 'touch /ro/below/x 2>&1 && echo yes')).toBe('yes');
      await world.runtime.removeContainer({ containerId: rro }, neverAborted());
    } finally {
      await hostProgram(['umount', join(shared, 'below')]);
      await hostProgram(['umount', shared]);
    }
  });

  test('a relative path of the host is refused, and no folder is made', async () => {
    const mounts = [{ hostPath: 'berth-relative', containerPath: '/x' }];
    await expect(inside('true', {}, { mounts })).rejects.toThrow(/host_path berth-relative is relative/);
    expect(existsSync('berth-relative')).toBe(false);
  });

  test('sysctls and the hostname are the pod’s', async () => {
    const pod = await world.runSandbox('tuned', {
      linux: {
        cgroupParent: world.cgroupParent,
        securityContext: { namespaceOptions: { pid: 'CONTAINER' } },
        sysctls: { 'net.ipv4.ip_unprivileged_port_start': '81', 'kernel.shm_rmid_forced': '1' },
      },
    });
    const { text } = await world.output(pod, 'main', [
      'sh',
      '-c',
      'cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced; hostname; cat /etc/hostname',
    ]);
    expect(text).toBe('81\n1\ntuned\ntuned\n');
    await world.runtime.removePodSandbox({ podSandboxId: pod }, neverAborted());
  });

  test('host network, IPC and PID are the machine’s', async () => {
    const namespaceOptions = { network: 'NODE', ipc: 'NODE', pid: 'NODE' } as const;
    const pod = await world.runSandbox('hostly', {
      hostname: '',
      linux: { cgroupParent: world.cgroupParent, securityContext: { namespaceOptions } },
    });
    const { readlink } = await import('node:fs/promises');
    const id = await world.startContainer(pod, 'main', ['sh', '-c', 'setsid sleep 5555 & exec sleep 1000'], {
      linux: { securityContext: { namespaceOptions } },
    });
    for (const ns of ['net', 'ipc', 'uts', 'pid']) {
      expect(await world.exec(id, 'readlink', `/proc/self/ns/${ns}`)).toBe(await readlink(`/proc/self/ns/${ns}`));
    }
    // Nothing in it dies with a PID namespace: the stop must find every process.
    await world.runtime.stopContainer({ containerId: id, timeout: 0 }, neverAborted());
    await until(async () => {
      const text = await readFile(`/sys/fs/cgroup/pids${world.cgroupParent}/${id}/cgroup.procs`, 'utf8').catch(
        () => '',
      );
      return text === '' ? true : undefined;
    }, 'every process to go');
    await world.runtime.removePodSandbox({ podSandboxId: pod }, neverAborted());
  });

  test('a volume of the image is writable on a read-only root and has the image’s content', async () => {
    const own = await RuntimeWorld.open({ image: { volumes: ['/data', '/fresh'] } });
    try {
      const pod = await own.runSandbox();
      const { text } = await own.output(
        pod,
        'main',
        ['sh', '-c', 'cat /data/from-image; touch /data/x /fresh/y && ls /data /fresh'],
        {
          linux: { securityContext: { readonlyRootfs: true } },
        },
      );
      expect(text).toBe('seed\n/data:\nfrom-image\nx\n\n/fresh:\ny\n'.replace('\n\n', '\n\n'));
    } finally {
      await own[Symbol.asyncDispose]();
    }
  });

  test('an image can be a read-only mount, below a path of it', async () => {
    const mounts = [
      { containerPath: '/img', readonly: true, image: { image: world.image.id } },
      { containerPath: '/sub', readonly: true, image: { image: world.image.id }, imageSubPath: 'data' },
    ];
    expect(await inside('cat /img/data/from-image /sub/from-image; touch /img/x', {}, { mounts })).toMatch(
      /^seed\nseed\n.*Read-only file system/,
    );
    const [, seen] =
      (await world.status(await world.createContainer(sandbox, 'told', ['true'], { mounts }))).mounts ?? [];
    expect(seen?.image).toEqual({ image: world.image.id, imageRef: world.image.id });
    const wrong = [{ containerPath: '/img', readonly: true, image: { image: world.image.id }, imageSubPath: 'none' }];
    await expect(inside('true', {}, { mounts: wrong })).rejects.toThrow(/no path "none"/);
    const both = [{ containerPath: '/img', hostPath: world.folder, image: { image: world.image.id } }];
    await expect(inside('true', {}, { mounts: both })).rejects.toThrow(/both host_path and image/);
    const writable = [{ containerPath: '/img', image: { image: world.image.id } }];
    await expect(inside('true', {}, { mounts: writable })).rejects.toThrow(/not readonly/);
  });

  test('environment: the request wins over the image, which wins over defaults', async () => {
    const envs = [{ key: 'FROM_IMAGE', value: new TextEncoder().encode('no, from the pod') }];
    expect(await inside('echo $FROM_IMAGE; echo $PATH; echo $HOSTNAME', {}, { envs })).toBe(
      'no, from the pod\n/bin\npod',
    );
  });
});
