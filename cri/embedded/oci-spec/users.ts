/** `/etc/passwd` and `/etc/group` of an image, parsed once per image. */
export interface ImageAccounts {
  readonly users: readonly {
    readonly name: string;
    readonly uid: number;
    readonly gid: number;
    readonly home: string;
  }[];
  readonly groups: readonly { readonly name: string; readonly gid: number; readonly members: readonly string[] }[];
}

export interface UserRequest {
  /** `security_context.run_as_user`, undefined when the request leaves it to a name or the image. */
  readonly uid?: number | undefined;
  readonly username?: string | undefined;
  readonly gid?: number | undefined;
  readonly supplementalGroups: readonly number[];
  readonly policy: 'Merge' | 'Strict';
  /** The image's `user`: `uid`, `name`, each with `:group`. */
  readonly imageUser: string;
}

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Of the account; `/` when there is none. */
  readonly home: string;
}

export type UserResolution =
  { readonly ok: true; readonly user: ResolvedUser } | { readonly ok: false; readonly reason: string };

const largestId = 2 ** 32 - 2;

export function parseAccounts(passwd: string, group: string): ImageAccounts {
  return {
    users: lines(passwd).flatMap(([name = '', , uid = '', gid = '', , home = '']) =>
      isId(uid) && isId(gid) ? [{ name, uid: Number(uid), gid: Number(gid), home }] : [],
    ),
    groups: lines(group).flatMap(([name = '', , gid = '', members = '']) =>
      isId(gid) ? [{ name, gid: Number(gid), members: members.split(',').filter((member) => member !== '') }] : [],
    ),
  };
}

function lines(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.trimEnd().split(':'));
}

/**
 * Who the container runs as. `run_as_user` wins over `run_as_username` wins over the image; the group is `run_as_group`, else the
 * image's `:group` (only when the user is the image's too), else the account's, else 0. `Merge` adds the groups that list the
 * account in the image's /etc/group; `Strict` takes only those asked for.
 */
export function resolveUser(request: UserRequest, accounts: ImageAccounts): UserResolution {
  const [imageUser = '', imageGroup = ''] = request.imageUser.split(':');
  const asked = request.uid !== undefined ? String(request.uid) : (request.username ?? '');
  const fromImage = asked === '';
  const wanted = fromImage ? imageUser || '0' : asked;
  const account = isId(wanted)
    ? accounts.users.find((user) => user.uid === Number(wanted))
    : accounts.users.find((user) => user.name === wanted);
  if (account === undefined && !isId(wanted)) {
    return { ok: false, reason: `user ${JSON.stringify(wanted)} is not in the image's /etc/passwd` };
  }
  const uid = account?.uid ?? Number(wanted);
  if (!(uid <= largestId)) return { ok: false, reason: `user id ${wanted} is out of range` };

  let gid = request.gid ?? account?.gid ?? 0;
  if (request.gid === undefined && fromImage && imageGroup !== '') {
    const group = isId(imageGroup)
      ? { gid: Number(imageGroup) }
      : accounts.groups.find((candidate) => candidate.name === imageGroup);
    if (group === undefined) {
      return { ok: false, reason: `group ${JSON.stringify(imageGroup)} is not in the image's /etc/group` };
    }
    gid = group.gid;
  }
  const additional = new Set<number>(request.supplementalGroups);
  if (request.policy === 'Merge' && account !== undefined) {
    for (const group of accounts.groups) if (group.members.includes(account.name)) additional.add(group.gid);
  }
  // The primary group is always among them, so that a setgid program cannot shed it (CVE-2022-36109).
  additional.add(gid);
  return { ok: true, user: { uid, gid, additionalGids: [...additional], home: account?.home || '/' } };
}

function isId(text: string): boolean {
  return /^\d+$/.test(text);
}
