import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import { readTextInRoot } from '../host/path-in-root.js';
import type { StoredImage } from '../images/image-store.js';
import { parseAccounts, resolveUser, type ImageAccounts, type ResolvedUser } from '../oci-spec/users.js';

const accountsFileLimit = 1024 * 1024;
const mostImages = 256;

/** Who the container runs as; the image's account files are read through the mounted root, once per image. */
export async function containerUser(
  context: RuntimeContext,
  config: v1.ContainerConfig,
  image: StoredImage,
  rootfs: string,
): Promise<ResolvedUser> {
  const security = config.linux?.securityContext;
  const accounts = await imageAccounts(context, image.id, rootfs);
  const resolution = resolveUser(
    {
      uid: security?.runAsUser?.value ?? (security?.runAsUser == null ? undefined : 0),
      username: security?.runAsUsername,
      gid: security?.runAsGroup?.value ?? (security?.runAsGroup == null ? undefined : 0),
      supplementalGroups: security?.supplementalGroups ?? [],
      policy: security?.supplementalGroupsPolicy ?? 'Merge',
      imageUser: image.config.user,
    },
    accounts,
  );
  if (!resolution.ok) {
    throw criError('invalid-argument', `create container ${config.metadata?.name ?? ''}: ${resolution.reason}`);
  }
  return resolution.user;
}

async function imageAccounts(context: RuntimeContext, imageId: string, rootfs: string): Promise<ImageAccounts> {
  const known = context.accounts.get(imageId);
  if (known !== undefined) return known;
  const [passwd, group] = await Promise.all([
    readTextInRoot(rootfs, '/etc/passwd', accountsFileLimit),
    readTextInRoot(rootfs, '/etc/group', accountsFileLimit),
  ]);
  const accounts = parseAccounts(passwd, group);
  const oldest = context.accounts.size >= mostImages ? context.accounts.keys().next().value : undefined;
  if (oldest !== undefined) context.accounts.delete(oldest);
  context.accounts.set(imageId, accounts);
  return accounts;
}
