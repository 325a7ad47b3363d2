import { tryParseReference, type ImageReference } from '../../contract/image-reference.js';
import { imageError } from './image-error.js';

export { isDigest, referenceText, tryParseReference, type ImageReference } from '../../contract/image-reference.js';

export function parseReference(text: string): ImageReference {
  const reference = tryParseReference(text);
  if (reference === undefined) {
    throw imageError('name-invalid', `parse image name ${JSON.stringify(text.slice(0, 300))}: not a valid reference`);
  }
  return reference;
}
