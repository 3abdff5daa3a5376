/** The waveform of a take while it grows, and the position of playback in it. */

const BARS = 160;

export function draw(canvas, take, position) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== width * ratio) {
    canvas.width = width * ratio;
    canvas.height = height * ratio;
  }
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const expected = Math.max(take.expected ?? 0, take.seconds, 0.001);
  const step = width / BARS;
  const values = measurePeaks(take, expected);
  const loudest = Math.max(0.05, ...values); // quiet speech fills the height, silence does not
  values.forEach((peak, i) => {
    const barHeight = Math.max(2, (peak / loudest) * (height - 4));
    context.fillStyle = (i + 0.5) / BARS * expected <= position ? style.color : style.borderColor;
    context.fillRect(i * step + step * 0.15, (height - barHeight) / 2, step * 0.7, barHeight);
  });
}

/** The peak of each bar; of the same take only new chunks are read. */
function measurePeaks(take, expected) {
  const perBar = expected * take.rate / BARS;
  if (take.peaks?.perBar !== perBar) take.peaks = { perBar, values: new Float32Array(BARS), chunksRead: 0, samples: 0 };
  const cache = take.peaks;
  for (; cache.chunksRead < take.chunks.length; cache.chunksRead += 1) {
    for (const sample of take.chunks[cache.chunksRead]) {
      const bar = Math.min(BARS - 1, Math.floor(cache.samples / perBar));
      cache.values[bar] = Math.max(cache.values[bar], Math.abs(sample));
      cache.samples += 1;
    }
  }
  return cache.values;
}
