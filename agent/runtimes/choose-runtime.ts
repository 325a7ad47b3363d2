import { existsSync } from 'node:fs';
import { BerthError } from '../../base/errors.js';

export type RuntimeChoice =
  | { readonly kind: 'embedded'; readonly reason: string }
  | { readonly kind: 'docker'; readonly socketPath: string; readonly reason: string }
  | { readonly kind: 'remote'; readonly endpoint: string; readonly reason: string };

export class RuntimeChoiceError extends BerthError<{ code: 'unknown-runtime' } | { code: 'no-runtime' }> {}

const sockets = {
  containerd: '/run/containerd/containerd.sock',
  crio: '/run/crio/crio.sock',
  docker: '/var/run/docker.sock',
} as const;

/**
 * What `runtimeEndpoint` means: `embedded`, `docker`, `docker://PATH`, a CRI socket (`unix://PATH`), or `auto`, which takes what this
 * machine has and says why.
 */
export function chooseRuntime(
  endpoint: string,
  ociPrograms: readonly string[],
  isThere: (path: string) => boolean = existsSync,
): RuntimeChoice {
  const configured = 'the configuration names it';
  if (endpoint === 'embedded') return { kind: 'embedded', reason: configured };
  if (endpoint === 'docker') return { kind: 'docker', socketPath: sockets.docker, reason: configured };
  if (endpoint.startsWith('docker://')) {
    return { kind: 'docker', socketPath: endpoint.slice('docker://'.length), reason: configured };
  }
  if (endpoint.startsWith('unix://')) return { kind: 'remote', endpoint, reason: configured };
  if (endpoint !== 'auto') {
    throw new RuntimeChoiceError(
      `choose runtime "${endpoint}": it is none of embedded, docker, docker://PATH, unix://PATH, auto`,
      { code: 'unknown-runtime' },
    );
  }
  const oci = ociPrograms.find((path) => isThere(path));
  if (oci && isThere('/usr/bin/conmon')) return { kind: 'embedded', reason: `conmon and ${oci} are installed` };
  for (const path of [sockets.containerd, sockets.crio]) {
    if (isThere(path))
      return {
        kind: 'remote',
        endpoint: `unix://${path}`,
        reason: `${path} is there, conmon or an OCI runtime is not`,
      };
  }
  if (isThere(sockets.docker)) {
    return { kind: 'docker', socketPath: sockets.docker, reason: `only Docker's socket is there` };
  }
  throw new RuntimeChoiceError(
    'choose a runtime: neither conmon with crun or runc, nor containerd, CRI-O or Docker is on this machine; `berth check` says how to get them',
    { code: 'no-runtime' },
  );
}

/** The socket of a runtime that is another process; undefined for one that is none, or when there is none at all. */
export function runtimeSocket(...of: Parameters<typeof chooseRuntime>): string | undefined {
  try {
    const choice = chooseRuntime(...of);
    if (choice.kind === 'embedded') return undefined;
    return choice.kind === 'docker' ? choice.socketPath : choice.endpoint.replace(/^unix:\/\//, '');
  } catch (err) {
    if (err instanceof RuntimeChoiceError) return undefined;
    throw err;
  }
}
