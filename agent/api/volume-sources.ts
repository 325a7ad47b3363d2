import type { Volume } from './generated/types.js';

export type VolumeSourceName = Exclude<keyof Volume, 'name'>;

/** The sources a volume sets; a valid one sets exactly one. */
export function volumeSources(volume: Volume): VolumeSourceName[] {
  return Object.keys(volume).filter(
    (key): key is VolumeSourceName => key !== 'name' && volume[key as VolumeSourceName] !== undefined,
  );
}
