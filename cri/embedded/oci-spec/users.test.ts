import { describe, expect, test } from 'vitest';
import { parseAccounts, resolveUser, type UserRequest } from './users.js';

const accounts = parseAccounts(
  'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\nbroken:x:one:two\n\n# no\nbob:x:2000:2000:::\n',
  'root:x:0:\nstaff:x:50:alice,bob\nvideo:x:44:alice\nbad:x:z:alice\n',
);
const resolve = (request: Partial<UserRequest>): unknown => {
  const resolution = resolveUser({ supplementalGroups: [], policy: 'Merge', imageUser: '', ...request }, accounts);
  if (!resolution.ok) return resolution.reason;
  const { uid, gid, additionalGids, home } = resolution.user;
  return `${uid}:${gid} ${additionalGids.toSorted((a, b) => a - b).join(',')} ${home}`;
};

describe('resolveUser', () => {
  test.each<[string, Partial<UserRequest>, string]>([
    ['nothing: root', {}, '0:0 0 /root'],
    ['image uid without an account', { imageUser: '4242' }, '4242:0 0 /'],
    ['image uid with an account', { imageUser: '1000' }, '1000:1001 44,50,1001 /home/alice'],
    ['image name and group', { imageUser: 'alice:video' }, '1000:44 44,50 /home/alice'],
    ['image uid:gid', { imageUser: '7:8' }, '7:8 8 /'],
    ['asked uid: the image group does not count', { uid: 5, imageUser: 'alice:video' }, '5:0 0 /'],
    ['asked uid and gid', { uid: 5, gid: 6 }, '5:6 6 /'],
    ['asked uid 0 over the image', { uid: 0, imageUser: 'alice' }, '0:0 0 /root'],
    ['asked name', { username: 'bob' }, '2000:2000 50,2000 /'],
    ['uid wins over the name', { uid: 1000, username: 'bob' }, '1000:1001 44,50,1001 /home/alice'],
    ['more groups', { uid: 1000, supplementalGroups: [7, 44] }, '1000:1001 7,44,50,1001 /home/alice'],
    ['strict', { uid: 1000, supplementalGroups: [7], policy: 'Strict' }, '1000:1001 7,1001 /home/alice'],
    ['unknown name', { username: 'eve' }, `user "eve" is not in the image's /etc/passwd`],
    ['unknown group', { imageUser: 'alice:nobody' }, `group "nobody" is not in the image's /etc/group`],
    ['too large', { imageUser: '4294967295' }, 'user id 4294967295 is out of range'],
    ['a broken account is none', { username: 'broken' }, `user "broken" is not in the image's /etc/passwd`],
  ])('%s', (_name, request, expected) => {
    expect(resolve(request)).toBe(expected);
  });
});
