import { statSync } from 'node:fs';
import { errnoOf, errorText } from '../../base/errors.js';
import { StepError } from '../executors/step-error.js';
import { CachedFile } from '../node/cached-file.js';
import { parseResolvConf, type HostResolver } from './dns-config.js';

/** What most machines have; one without it has no resolver to speak of, and its pods none. */
const usual = '/etc/resolv.conf';
/** For pods with the host's resolver where they are to have none: an empty one would make a runtime copy the host's file (facts 7.3). */
const nobody: HostResolver = { servers: ['127.0.0.1'], searches: ['.'], options: [] };

/**
 * The resolver that `resolvConf` names, as it is at the time. Another file than the usual one was named for a reason: without it a pod
 * would look up names somewhere else, or nowhere, and nobody would know why.
 */
export function hostResolver(path: string): () => HostResolver {
  if (path === '') return () => nobody;
  const file = new CachedFile(path, parseResolvConf);
  return () => {
    try {
      if (path !== usual) statSync(path);
      return file.read();
    } catch (err) {
      const why = errnoOf(err) ?? errorText(err);
      throw new StepError('FailedCreatePodSandBox', `read resolvConf ${path} of the configuration: ${why}`, err);
    }
  };
}
