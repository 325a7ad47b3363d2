import { expect, test } from 'vitest';
import { decideFsGroup, type FsGroupDecision, type FsGroupQuestion } from './fs-group.js';

const question: FsGroupQuestion = {
  fsGroup: 2000,
  readOnly: false,
  policy: 'ReadWriteOnceWithFSType',
  driverApplies: false,
  fsType: 'ext4',
  accessModes: ['ReadWriteOnce'],
  inline: false,
};

test.each<[string, Partial<FsGroupQuestion>, FsGroupDecision['by']]>([
  ['the default policy, once, with a type', {}, 'agent'],
  ['no fsGroup', { fsGroup: undefined }, 'nobody'],
  ['group 0 is a group', { fsGroup: 0 }, 'agent'],
  ['None', { policy: 'None' }, 'nobody'],
  ['File', { policy: 'File', fsType: '', accessModes: ['ReadWriteMany'] }, 'agent'],
  ['File, read-only', { policy: 'File', readOnly: true }, 'nobody'],
  ['read-only', { readOnly: true }, 'nobody'],
  ['no type', { fsType: '' }, 'nobody'],
  ['many', { accessModes: ['ReadWriteMany'] }, 'nobody'],
  ['many and once', { accessModes: ['ReadWriteMany', 'ReadWriteOncePod'] }, 'agent'],
  ['no access modes', { accessModes: undefined }, 'nobody'],
  ['inline', { accessModes: undefined, inline: true }, 'agent'],
  ['the driver can, whatever the policy', { driverApplies: true, policy: 'None' }, 'driver'],
  ['the driver can, but there is no group', { driverApplies: true, fsGroup: undefined }, 'nobody'],
])('%s', (_what, change, by) => {
  expect(decideFsGroup({ ...question, ...change }).by).toBe(by);
});
