/** The waveform of a take as it grows, and where the listener is in it. */

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
  const values = peaks(take, expected);
  const loudest = Math.max(0.05, ...values); // quiet speech fills the height too, silence does not
  values.forEach((peak, i) => {
    const tall = Math.max(2, (peak / loudest) * (height - 4));
    context.fillStyle = (i + 0.5) / BARS * expected <= position ? style.color : style.borderColor;
    context.fillRect(i * step + step * 0.15, (height - tall) / 2, step * 0.7, tall);
  });
}

/** The loudest sample of each bar; of the same take only what is new is looked at. */
function peaks(take, expected) {
  const perBar = expected * take.rate / BARS;
  if (take.peaks?.perBar !== perBar) take.peaks = { perBar, values: new Float32Array(BARS), seen: 0, samples: 0 };
  const known = take.peaks;
  for (; known.seen < take.pieces.length; known.seen += 1) {
    for (const sample of take.pieces[known.seen]) {
      const bar = Math.min(BARS - 1, Math.floor(known.samples / perBar));
      known.values[bar] = Math.max(known.values[bar], Math.abs(sample));
      known.samples += 1;
    }
  }
  return known.values;
}
