import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Pod } from '../api/index.js';
import { contextOptions, readFileContext, seLinuxMountLabel } from './se-linux.js';
import type { PodVolume } from './volume-plugin.js';

const fileContext = 'system_u:object_r:container_file_t:s0';
const level = 's0:c15,c25';
const mounts = [{ name: 'data', mountPath: '/data' }];

type Options = { user?: string; role?: string; type?: string; level?: string } | undefined;

const podOf = (pod: Options, own: readonly Options[], policy?: 'Recursive' | 'MountOption'): Pod => ({
  spec: {
    securityContext: {
      ...(pod ? { seLinuxOptions: pod } : {}),
      ...(policy ? { seLinuxChangePolicy: policy } : {}),
    },
    containers: own.map((seLinuxOptions, index) => ({
      name: `c${index}`,
      volumeMounts: mounts,
      ...(seLinuxOptions ? { securityContext: { seLinuxOptions } } : {}),
    })),
    initContainers: [{ name: 'elsewhere', securityContext: { seLinuxOptions: { level: 's0:c1' } } }],
  },
});

const volumeOf = (pod: Pod, accessModes: readonly string[] = ['ReadWriteOncePod'], block = false): PodVolume =>
  ({
    pod,
    name: 'data',
    block,
    origin: { kind: 'persistent', volume: { name: 'data' }, claim: {}, persistentVolume: { spec: { accessModes } } },
  }) as unknown as PodVolume;

const label = (volume: PodVolume, facts: { fileContext?: string; driverMounts?: boolean } = {}): string | undefined =>
  seLinuxMountLabel(volume, {
    fileContext: 'fileContext' in facts ? facts.fileContext : fileContext,
    driverMounts: facts.driverMounts ?? true,
  });

test.each<[string, Pod, string | undefined]>([
  ['the pod says', podOf({ level }, [undefined]), `system_u:object_r:container_file_t:${level}`],
  [
    'its user counts, role and type are those of processes',
    podOf({ user: 'u', role: 'r', type: 't', level }, [undefined]),
    `u:object_r:container_file_t:${level}`,
  ],
  [
    'a container says otherwise, as a whole',
    podOf({ user: 'u', level: 's0' }, [{ level }]),
    `system_u:object_r:container_file_t:${level}`,
  ],
  ['two say the same', podOf(undefined, [{ level }, { level }]), `system_u:object_r:container_file_t:${level}`],
  ['only one says anything', podOf(undefined, [{ level }, undefined]), `system_u:object_r:container_file_t:${level}`],
  ['nobody says anything', podOf(undefined, [undefined]), undefined],
  ['no level: the runtime chooses one', podOf({ type: 'spc_t' }, [undefined]), undefined],
  ['the pod wants its files labelled', podOf({ level }, [undefined], 'Recursive'), undefined],
  [
    'the pod wants the mount labelled',
    podOf({ level }, [undefined], 'MountOption'),
    `system_u:object_r:container_file_t:${level}`,
  ],
])('%s', (_what, pod, expected) => {
  expect(label(volumeOf(pod))).toBe(expected);
});

test('containers that do not agree have no common mount', () => {
  const pod = podOf(undefined, [{ level }, { level: 's0:c1' }]);
  expect(() => label(volumeOf(pod))).toThrow(
    `multiple SELinux labels found: system_u:object_r:container_file_t:${level},system_u:object_r:container_file_t:s0:c1`,
  );
  // Where no mount option is used each container's files are the runtime's matter.
  expect(label(volumeOf(pod), { driverMounts: false })).toBeUndefined();
});

test('nothing without SELinux, without a driver that can, for other access modes, for devices, for volumes of one pod', () => {
  const pod = podOf({ level }, [undefined]);
  expect(label(volumeOf(pod), { fileContext: undefined as never })).toBeUndefined();
  expect(label(volumeOf(pod), { driverMounts: false })).toBeUndefined();
  expect(label(volumeOf(pod, ['ReadWriteOnce']))).toBeUndefined();
  expect(label(volumeOf(pod, ['ReadWriteOncePod', 'ReadWriteOnce']))).toBeUndefined();
  expect(label(volumeOf(pod, ['ReadWriteOncePod'], true))).toBeUndefined();
  const inline = { ...volumeOf(pod), origin: { kind: 'inline', volume: { name: 'data' } } } as PodVolume;
  expect(label(inline)).toBeUndefined();
});

test('a level holds commas, so the option is quoted', () => {
  expect(contextOptions(`a:b:c:${level}`)).toEqual(['context="a:b:c:s0:c15,c25"']);
  expect(contextOptions(undefined)).toEqual([]);
});

test("the files' label is the policy's", async () => {
  const root = `${await mkdtemp(join(tmpdir(), 'berth-selinux-'))}/`;
  try {
    expect(await readFileContext(root)).toBeUndefined();
    await mkdir(join(root, 'sys/fs/selinux'), { recursive: true });
    await writeFile(join(root, 'sys/fs/selinux/enforce'), '1');
    expect(await readFileContext(root)).toBe(fileContext);
    await mkdir(join(root, 'etc/selinux/strict/contexts'), { recursive: true });
    await writeFile(join(root, 'etc/selinux/config'), '# SELINUXTYPE=minimum\nSELINUX=enforcing\nSELINUXTYPE=strict\n');
    await writeFile(
      join(root, 'etc/selinux/strict/contexts/lxc_contexts'),
      'process = "system_u:system_r:container_t:s0"\nfile = "system_u:object_r:svirt_sandbox_file_t:s0"\n',
    );
    expect(await readFileContext(root)).toBe('system_u:object_r:svirt_sandbox_file_t:s0');
  } finally {
    await rm(root, { recursive: true });
  }
});
