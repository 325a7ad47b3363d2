import { readFileSync } from 'node:fs';
import { mkdir, readFile, readdir, readlink, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Container } from '../../../agent/api/index.js';
import { sampleImage } from '../agent-world.js';
import { container, podManifest, script } from '../pod-objects.js';
import { mappedPort } from '../../support/mapped-port.js';
import { SharedAgent } from '../shared-agent.js';

const shared = SharedAgent.use((config) => ({
  ...config,
  dns: { ...config.dns, servers: ['10.96.0.10'], domain: 'cluster.example' },
}));

const inside = (pod: string, text: string, name = 'main'): Promise<string> => shared.run.sh(pod, name, text);
/** `Key: value` of /proc/1/status as the container's first process has it. */
async function processStatus(pod: string, name = 'main'): Promise<Map<string, string>> {
  const text = await inside(pod, 'cat /proc/1/status', name);
  return new Map(text.split('\n').map((line) => [line.split(':')[0] ?? '', (line.split(':')[1] ?? '').trim()]));
}

describe.concurrent('environment', () => {
  test('values, references, files and expansion', async () => {
    await shared.run.apply(
      [
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'colours' },
          data: { sky: 'blue', 'odd.key': '$(NAME)' },
        },
        { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'door' }, stringData: { password: 'sesame' } },
      ]
        .map((object) => JSON.stringify(object))
        .join('\n---\n'),
    );
    const main: Container = {
      ...script('main', 'echo "$0 $1" > /tmp/args; exec sleep 1000000'),
      command: ['sh', '-c', 'echo "$0 $1" > /tmp/args; exec sleep 1000000', '$(GREETING)'],
      args: ['$(UNKNOWN) $$(GREETING)'],
      envFrom: [
        { prefix: 'C_', configMapRef: { name: 'colours' } },
        { secretRef: { name: 'door' } },
        { configMapRef: { name: 'none', optional: true } },
      ],
      env: [
        { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'GREETING', value: 'hello $(NAME), $(C_sky)' },
        { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['tier']" } } },
        { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
        { name: 'HOST_IP', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
        { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
        { name: 'SKY', valueFrom: { configMapKeyRef: { name: 'colours', key: 'sky' } } },
        { name: 'NOT_THERE', valueFrom: { configMapKeyRef: { name: 'colours', key: 'sea', optional: true } } },
        { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'door', key: 'password' } } },
        { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
        { name: 'MEMORY', valueFrom: { resourceFieldRef: { resource: 'requests.memory', divisor: '1Mi' } } },
        { name: 'FROM_FILE', valueFrom: { fileKeyRef: { volumeName: 'made', path: 'vars', key: 'WORD' } } },
      ],
      resources: { limits: { cpu: '250m', memory: '64Mi' }, requests: { cpu: '100m', memory: '32Mi' } },
    };
    await shared.ready(
      'env',
      {
        initContainers: [
          script('maker', `echo "WORD='made here'" > /made/vars`, {
            volumeMounts: [{ name: 'made', mountPath: '/made' }],
          }),
        ],
        containers: [
          main,
          // A shell would not hand on names that are none of its own.
          { name: 'plain', image: sampleImage, command: ['sleep', '1000000'], envFrom: main.envFrom },
        ],
        volumes: [{ name: 'made', emptyDir: {} }],
      },
      { labels: { tier: 'front' } },
    );
    const env = new Map(
      (await inside('env', "tr '\\0' '\\n' < /proc/1/environ")).split('\n').map((line) => {
        const at = line.indexOf('=');
        return [line.slice(0, at), line.slice(at + 1)];
      }),
    );
    const { ip, status } = shared.run.pod('env');
    expect(Object.fromEntries(env)).toMatchObject({
      NAME: 'env',
      GREETING: 'hello env, blue',
      LABEL: 'front',
      POD_IP: ip,
      HOST_IP: status.hostIP,
      NODE: 'test-node',
      SKY: 'blue',
      PASSWORD: 'sesame',
      password: 'sesame',
      C_sky: 'blue',
      CPU: '250',
      MEMORY: '32',
      FROM_FILE: 'made here',
      HOSTNAME: 'env',
    });
    expect(env.has('NOT_THERE')).toBe(false);
    expect(await inside('env', "tr '\\0' '\\n' < /proc/1/environ", 'plain')).toContain('C_odd.key=$(NAME)');
    expect(await inside('env', 'until [ -s /tmp/args ]; do sleep 0.1; done; cat /tmp/args')).toBe(
      'hello env, blue $(UNKNOWN) $(GREETING)',
    );
  });
});

describe.concurrent('names and addresses', () => {
  test('hostname, /etc/hosts and cluster DNS', async () => {
    await shared.ready('named', {
      hostname: 'front',
      subdomain: 'shop',
      hostAliases: [{ ip: '10.1.2.3', hostnames: ['one', 'two'] }],
      containers: [container('main')],
    });
    const { ip } = shared.run.pod('named');
    expect(await inside('named', 'hostname')).toBe('front');
    expect(await inside('named', 'cat /etc/hostname')).toBe('front');
    const hosts = await inside('named', 'cat /etc/hosts');
    expect(hosts).toContain('# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n');
    expect(hosts).toContain(`${ip}\tfront.shop.default.svc.cluster.example\tfront\n`);
    expect(hosts).toContain('# Entries added by HostAliases.\n10.1.2.3\tone\ttwo');
    const resolv = await inside('named', 'cat /etc/resolv.conf');
    expect(resolv).toMatch(/^search default\.svc\.cluster\.example svc\.cluster\.example cluster\.example/m);
    expect(resolv).toMatch(/^nameserver 10\.96\.0\.10$/m);
    expect(resolv).toMatch(/^options ndots:5$/m);
    expect(await inside('named', 'echo 10.9.9.9 more >> /etc/hosts && echo writable')).toBe('writable');
  });

  test('dnsPolicy Default and None', async () => {
    await shared.ready('dns-default', { dnsPolicy: 'Default', containers: [container('main')] });
    const own =
      readFileSync('/etc/resolv.conf', 'utf8')
        .match(/^nameserver .*/gm)
        ?.slice(0, 3) ?? [];
    const seen = (await inside('dns-default', 'cat /etc/resolv.conf')).match(/^nameserver .*/gm) ?? [];
    expect(seen).toEqual(own);
    await shared.ready('dns-none', {
      dnsPolicy: 'None',
      dnsConfig: {
        nameservers: ['192.0.2.1'],
        searches: ['a.example'],
        options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
      },
      containers: [container('main')],
    });
    expect(await inside('dns-none', 'cat /etc/resolv.conf')).toBe(
      'search a.example\nnameserver 192.0.2.1\noptions ndots:2 edns0',
    );
  });

  test('the network, PIDs and IPC of the host', async () => {
    await shared.ready('on-host', {
      hostNetwork: true,
      hostPID: true,
      hostIPC: true,
      dnsPolicy: 'ClusterFirstWithHostNet',
      containers: [container('main')],
    });
    expect(await inside('on-host', 'hostname')).toBe(hostname());
    expect(await inside('on-host', 'readlink /proc/self/ns/net')).toBe(await ownNamespace('net'));
    expect(await inside('on-host', 'readlink /proc/self/ns/ipc')).toBe(await ownNamespace('ipc'));
    expect(await inside('on-host', 'readlink /proc/self/ns/pid')).toBe(await ownNamespace('pid'));
    expect(await inside('on-host', 'cat /etc/hosts')).toMatch(/^# Kubernetes-managed hosts file \(host network\)\./);
    expect(await inside('on-host', 'cat /etc/resolv.conf')).toContain('nameserver 10.96.0.10');
    const { ip, status } = shared.run.pod('on-host');
    expect(ip).toBe(status.hostIP);
  });

  test('containers share localhost and see each other only by choice; a port of the host leads in', async () => {
    const hostPort = mappedPort();
    const serve = 'mkdir /www; echo from inside > /www/page; exec httpd -f -h /www -p 8080';
    await shared.ready('pair', {
      shareProcessNamespace: true,
      containers: [
        script('main', serve, {
          ports: [{ containerPort: 8080, hostPort }],
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
        }),
        container('other'),
      ],
    });
    expect(await inside('pair', 'wget -qO- http://127.0.0.1:8080/page', 'other')).toBe('from inside');
    expect(await inside('pair', 'ps', 'other')).toContain('httpd -f');
    const { ip, status } = shared.run.pod('pair');
    for (const [host, port] of [
      [ip, 8080],
      [status.hostIP ?? '', hostPort],
      ['127.0.0.1', hostPort],
    ] as const)
      expect(`${host}:${port} ${await get(host, port, '/page')}`).toContain('from inside');

    await shared.ready('alone', { containers: [container('main'), container('other')] });
    expect(await inside('alone', 'readlink /proc/self/ns/pid')).not.toBe(
      await inside('alone', 'readlink /proc/self/ns/pid', 'other'),
    );
    expect(await inside('alone', 'readlink /proc/self/ns/net')).toBe(
      await inside('alone', 'readlink /proc/self/ns/net', 'other'),
    );
    expect(await inside('alone', 'readlink /proc/self/ns/ipc')).toBe(
      await inside('alone', 'readlink /proc/self/ns/ipc', 'other'),
    );
  });
});

describe.concurrent('security context', () => {
  test('user, groups, capabilities, no_new_privs, read-only root, seccomp', async () => {
    await shared.ready('confined', {
      securityContext: {
        runAsUser: 1000,
        runAsGroup: 2000,
        fsGroup: 3000,
        supplementalGroups: [4000],
        seccompProfile: { type: 'RuntimeDefault' },
        sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '80' }],
      },
      containers: [
        container('main', {
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [{ name: 'disk', mountPath: '/disk' }],
        }),
        container('other', {
          securityContext: {
            runAsUser: 0,
            capabilities: { add: ['NET_ADMIN'], drop: ['CHOWN'] },
            seccompProfile: { type: 'Unconfined' },
          },
        }),
      ],
      volumes: [{ name: 'disk', emptyDir: {} }],
    });
    expect(await inside('confined', 'id -u; id -g; id -G')).toBe('1000\n2000\n2000 3000 4000');
    const main = await processStatus('confined');
    expect(main.get('NoNewPrivs')).toBe('1');
    expect(main.get('Seccomp')).toBe('2');
    expect(BigInt(`0x${main.get('CapBnd')}`)).toBe(0n);
    expect((await shared.run.exec('confined', 'main', 'touch', '/nope')).stderr).toContain('Read-only file system');
    // The pod's own file, which no image brings: it may be added to.
    expect(await inside('confined', "grep ' /etc/hosts ' /proc/self/mountinfo")).toMatch(/ \/etc\/hosts rw,/);
    expect(await inside('confined', 'touch /disk/file; stat -c %g /disk/file')).toBe('3000');
    expect(await inside('confined', 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start')).toBe('80');
    const other = await processStatus('confined', 'other');
    const capability = (bit: number): boolean => ((BigInt(`0x${other.get('CapEff')}`) >> BigInt(bit)) & 1n) === 1n;
    expect({
      uid: other.get('Uid')?.split('\t')[0],
      seccomp: other.get('Seccomp'),
      privs: other.get('NoNewPrivs'),
    }).toEqual({ uid: '0', seccomp: '0', privs: '0' });
    expect({ chown: capability(0), netAdmin: capability(12), kill: capability(5) }).toEqual({
      chown: false,
      netAdmin: true,
      kill: true,
    });
    const masked = await shared.run.exec(
      'confined',
      'other',
      'sh',
      '-c',
      'cat /proc/kcore | head -c 1 | wc -c; echo 1 > /proc/sys/kernel/domainname',
    );
    expect(masked.stdout.trim()).toBe('0');
    expect(masked.stderr).toContain('Read-only file system');
    const { uid, gid, supplementalGroups = [] } = shared.run.container('confined', 'main').user?.linux ?? {};
    expect([uid, gid, supplementalGroups.toSorted((a, b) => a - b)]).toEqual([1000, 2000, [2000, 3000, 4000]]);
  });

  test('users of its own: root inside is nobody outside, on every volume as the files say', async () => {
    await shared.run.apply(
      JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'mapped' }, stringData: { key: 'sesame' } }),
    );
    const volumeMounts = ['disk', 'memory', 'secret'].map((name) => ({ name, mountPath: `/${name}` }));
    await shared.ready('own-users', {
      hostUsers: false,
      securityContext: { fsGroup: 3000 },
      containers: [
        container('main', { volumeMounts }),
        container('user', { volumeMounts, securityContext: { runAsUser: 1000 } }),
      ],
      volumes: [
        { name: 'disk', emptyDir: {} },
        { name: 'memory', emptyDir: { medium: 'Memory' } },
        { name: 'secret', secret: { secretName: 'mapped' } },
      ],
    });
    await shared.ready('own-users-too', {
      hostUsers: false,
      containers: [container('main'), container('bare', { securityContext: { procMount: 'Unmasked' } })],
    });
    // With procMount Default files of /proc are covered and folders read-only; Unmasked leaves it as the kernel shows it.
    const covers = async (of: string): Promise<number> =>
      Number(await inside('own-users-too', 'grep -c " /proc/" /proc/self/mountinfo || true', of));
    expect(await covers('main')).toBeGreaterThan(3);
    expect(await covers('bare')).toBe(0);
    const { rootDir } = shared.world.config.paths;
    const range = async (name: string): Promise<number> => {
      const [inner, outer, length] = (await inside(name, 'cat /proc/self/uid_map')).split(/\s+/).map(Number);
      expect([inner, length]).toEqual([0, 65_536]);
      const file = join(rootDir, 'pods', shared.run.pod(name).uid, 'userns');
      const mapping = [{ hostId: outer, containerId: 0, length: 65_536 }];
      expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ uidMappings: mapping, gidMappings: mapping });
      return outer ?? 0;
    };
    const first = await range('own-users');
    expect(first).toBeGreaterThanOrEqual(65_536);
    expect(Math.abs(first - (await range('own-users-too')))).toBeGreaterThanOrEqual(65_536);
    expect((await processStatus('own-users')).get('Uid')).toBe('0\t0\t0\t0');
    await inside('own-users', 'touch /disk/root /memory/root');
    await inside('own-users', 'touch /disk/user /memory/user', 'user');
    expect(await inside('own-users', 'stat -c %u:%g /disk/* /memory/*')).toBe(
      ['0:3000', '1000:3000', '0:3000', '1000:3000'].join('\n'),
    );
    const disk = join(rootDir, 'pods', shared.run.pod('own-users').uid, 'volumes/kubernetes.io~empty-dir/disk');
    expect([(await stat(join(disk, 'root'))).uid, (await stat(join(disk, 'user'))).uid]).toEqual([0, 1000]);
    expect(await inside('own-users', 'cat /secret/key; echo mine >> /etc/hosts', 'main')).toBe('sesame');
    expect(await inside('own-users', 'cat /secret/key', 'user')).toBe('sesame');
  });

  test('privileged', async () => {
    await shared.ready('mighty', { containers: [container('main', { securityContext: { privileged: true } })] });
    const status = await processStatus('mighty');
    const own = readFileSync('/proc/self/status', 'utf8').match(/^CapBnd:\s*(\S+)/m)?.[1];
    expect(status.get('CapEff')).toBe(own);
    expect(
      await inside(
        'mighty',
        'test -e /dev/loop-control || test -e /dev/kmsg; mount -t tmpfs none /tmp && echo mounted',
      ),
    ).toBe('mounted');
    expect(await inside('mighty', 'test -w /proc/sys/kernel/domainname && echo writable')).toBe('writable');
  });

  test('a localhost seccomp profile is the one in the folder', async () => {
    const folder = join(shared.world.config.paths.rootDir, 'seccomp');
    await mkdir(folder, { recursive: true });
    const profile = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
    };
    await writeFile(join(folder, 'no-mkdir.json'), JSON.stringify(profile));
    await shared.ready('profiled', {
      containers: [
        container('main', {
          securityContext: { seccompProfile: { type: 'Localhost', localhostProfile: 'no-mkdir.json' } },
        }),
      ],
    });
    expect((await shared.run.exec('profiled', 'main', 'mkdir', '/tmp/x')).stderr).toContain('Operation not permitted');
  });

  test('runAsNonRoot refuses an image that runs as root, and says so', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('refused', { securityContext: { runAsNonRoot: true }, containers: [container('main')] }),
    );
    const stuck = await run.untilPod(
      'refused',
      'is refused',
      (pod) => pod.status.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
    );
    expect(stuck.waits[0]).toContain('container has runAsNonRoot and image will run as root');
    expect(stuck.phase).toBe('Pending');
  });
});

describe.concurrent('cgroups and logs', () => {
  test.each([
    {
      name: 'guaranteed',
      resources: { limits: { cpu: '200m', memory: '64Mi' } },
      tier: '',
      pod: { shares: '204', quota: '20000', memory: `${64 * 1024 * 1024}` },
      oom: -997,
    },
    {
      name: 'burstable',
      resources: { limits: { memory: '128Mi' }, requests: { cpu: '100m' } },
      tier: 'burstable',
      pod: { shares: '102', quota: '-1', memory: `${128 * 1024 * 1024}` },
      oom: undefined,
    },
    {
      name: 'best-effort',
      resources: {},
      tier: 'besteffort',
      pod: { shares: '2', quota: '-1', memory: undefined },
      oom: 1000,
    },
  ])('$name', async ({ name, resources, tier, pod, oom }) => {
    await shared.ready(name, { containers: [container('main', { resources })] });
    const { uid, status } = shared.run.pod(name);
    const place = join(shared.world.bridge, 'kubepods', tier, `pod${uid}`);
    const read = async (controller: string, path: string, file: string): Promise<string> =>
      (await readFile(join('/sys/fs/cgroup', controller, path, file), 'utf8')).trim();
    const id = shared.run.container(name, 'main').containerID?.replace('berth://', '') ?? '';
    for (const path of [place, join(place, id)]) {
      const found = {
        shares: await read('cpu', path, 'cpu.shares'),
        quota: await read('cpu', path, 'cpu.cfs_quota_us'),
        memory: pod.memory && (await read('memory', path, 'memory.limit_in_bytes')),
      };
      expect({ path, ...found }).toEqual({ path, ...pod });
    }
    expect(status.qosClass).toBe(
      { guaranteed: 'Guaranteed', burstable: 'Burstable', 'best-effort': 'BestEffort' }[name],
    );
    // Where the machine forbids negative values they are cut to the lowest allowed one.
    const floor = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
    if (oom !== undefined) expect(Number(await inside(name, 'cat /proc/1/oom_score_adj'))).toBe(Math.max(oom, floor));
  });

  test('logs are files in the CRI format, one for each start, and go with the pod', async () => {
    const { run, world } = shared;
    await run.apply(
      podManifest('talker', {
        restartPolicy: 'Never',
        containers: [script('main', 'echo to stdout; echo to stderr >&2; printf "no end"')],
      }),
    );
    const { uid } = await run.untilPod('talker', 'has succeeded', (pod) => pod.phase === 'Succeeded');
    const folder = join(world.config.paths.podLogsDir, `default_talker_${uid}`);
    const lines = (await readFile(join(folder, 'main', '0.log'), 'utf8')).trim().split('\n');
    const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d) /;
    expect(lines.every((line) => time.test(line))).toBe(true);
    const rest = lines.map((line) => line.replace(time, ''));
    expect(rest).toContain('stdout F to stdout');
    expect(rest).toContain('stderr F to stderr');
    expect(rest).toContain('stdout P no end');
    await run.delete('talker');
    await run.until('the pod is gone', () => run.find('talker') === undefined);
    expect((await readdir(world.config.paths.podLogsDir)).filter((name) => name.includes('talker'))).toEqual([]);
  });
});

async function ownNamespace(type: string): Promise<string> {
  return readlink(`/proc/self/ns/${type}`);
}

/** One plain HTTP request, so that nothing is kept open. */
function get(host: string, port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 5000 });
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('end', () => resolve(text));
    socket.on('timeout', () => reject(new Error(`connect to ${host}:${port}: no answer`)));
    socket.on('error', reject);
    socket.write(`GET ${path} HTTP/1.0\r\n\r\n`);
  });
}
