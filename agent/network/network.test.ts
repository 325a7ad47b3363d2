import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Pod, PodSpec } from '../api/index.js';
import { parseResolvConf, podDns } from './dns-config.js';
import { hostResolver } from './host-resolver.js';
import { hostsFile } from './hosts-file.js';
import { podHostname } from './hostname.js';
import { portMappings } from './port-mappings.js';

const pod = (spec: Partial<PodSpec>, name = 'web'): Pod => ({
  metadata: { name, namespace: 'shop' },
  spec: { containers: [{ name: 'c' }], ...spec },
});
const host = parseResolvConf(
  '# comment\nsearch lab.example. .\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions timeout:1\n',
);
const cluster = { servers: ['10.96.0.10'], domain: 'cluster.local' };

test('options of the host add up over lines, the later one of a name wins; of searches the last line counts', () => {
  const text = 'search a.example\noptions edns0 timeout:1\nsearch b.example\noptions timeout:2 trust-ad\n';
  expect(parseResolvConf(text)).toEqual({
    servers: [],
    searches: ['b.example'],
    options: ['edns0', 'timeout:2', 'trust-ad'],
  });
});

test('the resolver of the host is read anew when it changes; a file that was named and is not there is told', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-resolver-'));
  try {
    const path = join(folder, 'resolv.conf');
    const read = hostResolver(path);
    expect(read).toThrow(`read resolvConf ${path} of the configuration: ENOENT`);
    await writeFile(path, 'nameserver 10.1.1.1\n');
    expect(read().servers).toEqual(['10.1.1.1']);
    await rm(path);
    expect(read).toThrow('ENOENT');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('without a resolver of the host its pods ask nobody, those of the cluster its own', () => {
  const none = hostResolver('')();
  expect(podDns(pod({ dnsPolicy: 'Default' }), none, cluster).config.servers).toEqual(['127.0.0.1']);
  const { servers, searches } = podDns(pod({}), none, cluster).config;
  expect({ servers, searches }).toEqual({
    servers: ['10.96.0.10'],
    searches: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local'],
  });
});

describe('resolver of a pod', () => {
  test.each<[string, Partial<PodSpec>, object]>([
    [
      'ClusterFirst',
      {},
      {
        servers: ['10.96.0.10'],
        searches: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'lab.example'],
        options: ['ndots:5'],
      },
    ],
    [
      'ClusterFirst with the host network is the host',
      { hostNetwork: true },
      { servers: ['10.0.0.1', '10.0.0.2'], searches: ['lab.example', '.'], options: ['timeout:1'] },
    ],
    [
      'ClusterFirstWithHostNet',
      { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' },
      { servers: ['10.96.0.10'] },
    ],
    [
      'Default with additions',
      {
        dnsPolicy: 'Default',
        dnsConfig: {
          nameservers: ['1.1.1.1', '10.0.0.1'],
          options: [{ name: 'timeout', value: '3' }, { name: 'edns0' }],
        },
      },
      { servers: ['10.0.0.1', '10.0.0.2', '1.1.1.1'], options: ['timeout:3', 'edns0'] },
    ],
    [
      'None',
      { dnsPolicy: 'None', dnsConfig: { nameservers: ['9.9.9.9'], searches: ['x.example'] } },
      { servers: ['9.9.9.9'], searches: ['x.example'], options: [] },
    ],
  ])('%s', (_name, spec, expected) => {
    const { config, notes } = podDns(pod(spec), host, cluster);
    expect(config).toMatchObject(expected);
    expect(notes).toEqual([]);
  });

  test('without a cluster resolver it falls back to the host and says so', () => {
    const { config, notes } = podDns(pod({}), host, { servers: [], domain: 'cluster.local' });
    expect(config.servers).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(notes.map(({ reason }) => reason)).toEqual(['MissingClusterDNS']);
    expect(podDns(pod({}), host, { servers: [], domain: '' }).notes).toEqual([]);
  });

  test('what is over the limits is cut and said', () => {
    const dnsConfig = {
      nameservers: ['1.0.0.1', '1.0.0.2', '1.0.0.3', '1.0.0.4'],
      searches: Array.from({ length: 40 }, (_, n) => `s${n}.example`),
    };
    const { config, notes } = podDns(pod({ dnsPolicy: 'None', dnsConfig }), host, cluster);
    expect(config.servers).toHaveLength(3);
    expect(config.searches).toHaveLength(32);
    expect(notes.map(({ reason }) => reason)).toEqual(['DNSConfigForming', 'DNSConfigForming']);
  });
});

describe('hostname', () => {
  test.each<[Partial<PodSpec>, string, object]>([
    [{}, 'web', { hostname: 'web', fqdn: '' }],
    [{}, `${'a'.repeat(62)}.b`, { hostname: 'a'.repeat(62), fqdn: '' }],
    [{ hostname: 'db', subdomain: 'store' }, 'web', { hostname: 'db', fqdn: 'db.store.shop.svc.cluster.local' }],
    [{ subdomain: 'store', setHostnameAsFQDN: true }, 'web', { hostname: 'web.store.shop.svc.cluster.local' }],
    [{ hostnameOverride: 'mine.example' }, 'web', { hostname: 'mine.example', fqdn: '' }],
    [{ hostnameOverride: 'a'.repeat(64) }, 'web', { hostname: 'a'.repeat(63) }],
    [{ hostNetwork: true }, 'web', { hostname: '', fqdn: '' }],
  ])('%j of %s', (spec, name, expected) => {
    expect(podHostname(pod(spec, name), 'cluster.local')).toMatchObject(expected);
  });

  test('a full name the kernel cannot hold is refused', () => {
    const spec = { subdomain: 'a'.repeat(60), setHostnameAsFQDN: true };
    expect(() => podHostname(pod(spec), 'cluster.local')).toThrow(/64 characters is the max/);
  });
});

test('hosts file of a pod: its addresses, its names, its aliases', () => {
  const subject = pod({ subdomain: 'store', hostAliases: [{ ip: '10.1.1.1', hostnames: ['one', 'uno'] }] });
  const text = hostsFile(subject, podHostname(subject, 'cluster.local'), ['10.88.0.4', 'fd00::4'], '');
  expect(text.split('\n')).toEqual([
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    '10.88.0.4\tweb.store.shop.svc.cluster.local\tweb',
    'fd00::4\tweb.store.shop.svc.cluster.local\tweb',
    '',
    '# Entries added by HostAliases.',
    '10.1.1.1\tone\tuno',
    '',
  ]);
});

test('hosts file of a pod whose hostname is its full name: the short one is known as well', () => {
  const subject = pod({ subdomain: 'store', setHostnameAsFQDN: true });
  const text = hostsFile(subject, podHostname(subject, 'cluster.local'), ['10.88.0.4'], '');
  expect(text).toContain('\n10.88.0.4\tweb.store.shop.svc.cluster.local\tweb\n');
});

test('hosts file with the network of the host starts as a copy of the node file', () => {
  const subject = pod({ hostNetwork: true });
  expect(hostsFile(subject, podHostname(subject, ''), [], '127.0.0.1 localhost\n')).toBe(
    '# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n',
  );
});

test('ports of regular containers only, each once', () => {
  const port = { containerPort: 80, hostPort: 8080 };
  const subject = pod({
    initContainers: [{ name: 'i', ports: [{ containerPort: 1, hostPort: 1 }] }],
    containers: [{ name: 'a', ports: [port, port, { containerPort: 53, protocol: 'UDP' }] }],
  });
  expect(portMappings(subject)).toEqual([
    { protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '' },
    { protocol: 'UDP', containerPort: 53, hostPort: 0, hostIp: '' },
  ]);
});
