import { expect, test } from 'vitest';
import { checkSysctls } from './check-sysctls.js';

const own = { network: 'POD', ipc: 'POD' } as const;

test.each([
  'net.ipv4.ip_unprivileged_port_start',
  'net/ipv4/conf/eth0.1/forwarding',
  'kernel.shm_rmid_forced',
  'kernel.sem',
  'fs.mqueue.msg_max',
  'kernel.domainname',
])('%s is of the sandbox', (name) => {
  checkSysctls('run sandbox', { [name]: '1' }, own);
});

test.each(['vm.swappiness', 'kernel.panic', 'kernel.hostname', 'fs.file-max', 'netx.a', 'kernel/panic', ''])(
  '%j is of the machine',
  (name) => {
    expect(() => checkSysctls('run sandbox', { [name]: '1' }, own)).toThrow(/whole machine's/);
  },
);

test('none is set in a namespace of the host', () => {
  expect(() => checkSysctls('run sandbox', { 'net.core.somaxconn': '1' }, { ...own, network: 'NODE' })).toThrow(
    /net\.core\.somaxconn needs a network namespace/,
  );
  expect(() => checkSysctls('run sandbox', { 'kernel.sem': '1' }, { ...own, ipc: 'NODE' })).toThrow(
    /an? ipc namespace/,
  );
});
