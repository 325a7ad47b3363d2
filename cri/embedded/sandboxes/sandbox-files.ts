import { chownSync, copyFileSync, existsSync, writeFileSync } from 'node:fs';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { resolvConf } from '../../contract/resolv-conf.js';
import type { Layout } from '../state/layout.js';
import type { SandboxRecord } from '../state/records.js';

export function sandboxFiles(layout: Layout, id: string): { hostnamePath: string; resolvConfPath: string } {
  const folder = layout.sandbox(id);
  return { hostnamePath: `${folder}/hostname`, resolvConfPath: `${folder}/resolv.conf` };
}

/** The files every container of the sandbox sees. Without DNS settings the machine's own resolv.conf is copied. */
export function writeSandboxFiles(layout: Layout, record: SandboxRecord, dns: v1.DNSConfig | null | undefined): void {
  const { hostnamePath, resolvConfPath } = sandboxFiles(layout, record.id);
  writeFileSync(hostnamePath, `${record.hostname}\n`, { mode: 0o644 });
  const text = resolvConf(dns);
  if (text !== '' || !existsSync('/etc/resolv.conf')) writeFileSync(resolvConfPath, text, { mode: 0o644 });
  else copyFileSync('/etc/resolv.conf', resolvConfPath);
  for (const path of [hostnamePath, resolvConfPath]) giveToRoot(record, path);
}

/** The pod's own root may write to them, whichever user of the host that is. */
function giveToRoot({ userNamespace }: SandboxRecord, path: string): void {
  if (userNamespace !== undefined) chownSync(path, userNamespace.hostId, userNamespace.hostId);
}

/** For containers whose request brings no /etc/hosts; made at the first one. */
export function hostsFile(layout: Layout, record: SandboxRecord): string {
  const path = `${layout.sandbox(record.id)}/hosts`;
  if (existsSync(path)) return path;
  if (record.network === 'NODE' && existsSync('/etc/hosts')) copyFileSync('/etc/hosts', path);
  else {
    const own = (record.ready?.ips ?? []).map((ip) => `${ip}\t${record.hostname}\n`).join('');
    writeFileSync(path, `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n${own}`, { mode: 0o644 });
  }
  giveToRoot(record, path);
  return path;
}
