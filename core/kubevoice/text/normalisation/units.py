"""Units of measure: their exact spelling first, and other spellings where those are unambiguous."""

import re

__all__ = ["UNIT", "UNITS", "read_unit"]

UNITS = {
    # lengths, areas, volumes
    "km": "千米", "m": "米", "dm": "分米", "cm": "厘米", "mm": "毫米", "μm": "微米", "um": "微米", "nm": "纳米", "pm": "皮米",
    "km²": "平方千米", "km2": "平方千米", "m²": "平方米", "m2": "平方米", "m^2": "平方米", "cm²": "平方厘米", "cm2": "平方厘米",
    "mm²": "平方毫米", "mm2": "平方毫米", "m³": "立方米", "m3": "立方米", "m^3": "立方米", "cm³": "立方厘米", "cm3": "立方厘米",
    "mm³": "立方毫米", "mm3": "立方毫米", "dm³": "立方分米", "dm3": "立方分米", "ha": "公顷", "hm²": "公顷", "hm2": "公顷",
    "L": "升", "l": "升", "mL": "毫升", "ml": "毫升", "dL": "分升", "dl": "分升", "μL": "微升", "uL": "微升", "cc": "毫升",
    "ft": "英尺", "inch": "英寸", "mile": "英里", "yd": "码",
    # masses, amounts, concentrations
    "kg": "千克", "g": "克", "mg": "毫克", "μg": "微克", "ug": "微克", "mcg": "微克", "ng": "纳克", "t": "吨", "lb": "磅",
    "lbs": "磅", "oz": "盎司", "mol": "摩尔", "mmol": "毫摩尔", "mmol/L": "毫摩尔每升", "μmol/L": "微摩尔每升",
    "umol/L": "微摩尔每升", "mol/L": "摩尔每升", "mg/L": "毫克每升", "g/L": "克每升", "mg/dL": "毫克每分升", "ng/mL": "纳克每毫升",
    "μg/mL": "微克每毫升", "μg/m³": "微克每立方米", "ug/m3": "微克每立方米", "mg/m³": "毫克每立方米", "mg/kg": "毫克每千克",
    "g/cm³": "克每立方厘米", "kg/m³": "千克每立方米", "kg/m²": "千克每平方米", "ppm": "ppm", "IU": "国际单位",
    # times and speeds
    "h": "小时", "hr": "小时", "hrs": "小时", "min": "分钟", "s": "秒", "sec": "秒", "ms": "毫秒", "μs": "微秒", "us": "微秒",
    "ns": "纳秒", "ps": "皮秒", "km/h": "公里每小时", "kmh": "公里每小时", "kph": "公里每小时", "km/s": "千米每秒", "m/s": "米每秒",
    "m/s²": "米每二次方秒", "m/s2": "米每二次方秒", "m/min": "米每分钟", "mm/s": "毫米每秒", "cm/s": "厘米每秒", "mph": "英里每小时",
    "m³/s": "立方米每秒", "m3/s": "立方米每秒", "m³/h": "立方米每小时", "m3/h": "立方米每小时", "L/min": "升每分钟",
    "mL/h": "毫升每小时", "L/100km": "升每百公里", "kWh/100km": "千瓦时每百公里", "g/km": "克每公里", "rpm": "转每分钟",
    "r/min": "转每分钟", "bpm": "次每分钟", "fps": "帧每秒",
    "m·s^-1": "米每秒", "m·s^-2": "米每二次方秒", "mol·L^-1": "摩尔每升", "kg·m^-3": "千克每立方米", "g·cm^-3": "克每立方厘米",
    "g·mol^-1": "克每摩尔", "kJ·mol^-1": "千焦每摩尔", "J·kg^-1": "焦每千克",
    # temperatures and angles
    "℃": "摄氏度", "°C": "摄氏度", "℉": "华氏度", "°F": "华氏度", "°": "度", "rad": "弧度",
    # frequencies, electricity, power, energy
    "Hz": "赫兹", "kHz": "千赫兹", "MHz": "兆赫兹", "GHz": "吉赫兹", "THz": "太赫兹", "W": "瓦", "mW": "毫瓦", "μW": "微瓦",
    "kW": "千瓦", "MW": "兆瓦", "GW": "吉瓦", "TW": "太瓦", "Wp": "瓦", "kWp": "千瓦", "kVA": "千伏安", "MVA": "兆伏安",
    "Wh": "瓦时", "kWh": "千瓦时", "kW·h": "千瓦时", "MWh": "兆瓦时", "MW·h": "兆瓦时", "GWh": "吉瓦时", "TWh": "太瓦时",
    "Wh/kg": "瓦时每千克", "W/m²": "瓦每平方米", "V": "伏", "kV": "千伏", "mV": "毫伏", "μV": "微伏", "mA": "毫安", "μA": "微安",
    "kA": "千安", "Ah": "安时", "mAh": "毫安时", "Ω": "欧姆", "kΩ": "千欧姆", "MΩ": "兆欧姆", "mΩ": "毫欧姆", "μF": "微法",
    "nF": "纳法", "pF": "皮法", "mH": "毫亨", "μH": "微亨", "J": "焦", "kJ": "千焦", "MJ": "兆焦", "eV": "电子伏", "keV": "千电子伏",
    "MeV": "兆电子伏", "cal": "卡", "kcal": "千卡", "hp": "马力",
    # forces and pressures
    "N": "牛", "kN": "千牛", "N·m": "牛米", "N.m": "牛米", "N*m": "牛米", "N•m": "牛米", "N-m": "牛米", "Nm": "牛米", "kN·m": "千牛米",
    "kgf": "千克力", "Pa": "帕", "hPa": "百帕", "kPa": "千帕", "MPa": "兆帕", "GPa": "吉帕", "mmHg": "毫米汞柱", "bar": "巴",
    "mbar": "毫巴", "psi": "磅每平方英寸", "atm": "大气压", "dB": "分贝", "dBm": "分贝毫瓦", "dB(A)": "分贝",
    # data; a small b is a bit, a capital B a byte
    "bit": "比特", "kb": "千比特", "Kb": "千比特", "Mb": "兆比特", "Gb": "吉比特", "Tb": "太比特", "kB": "千字节", "KB": "千字节",
    "MB": "兆字节", "GB": "吉字节", "TB": "太字节", "PB": "拍字节", "EB": "艾字节", "KiB": "千字节", "MiB": "兆字节", "GiB": "吉字节",
    "bps": "比特每秒", "kbps": "千比特每秒", "Kbps": "千比特每秒", "Mbps": "兆比特每秒", "Gbps": "吉比特每秒", "Tbps": "太比特每秒",
    "Mb/s": "兆比特每秒", "Gb/s": "吉比特每秒", "kB/s": "千字节每秒", "KB/s": "千字节每秒", "MB/s": "兆字节每秒",
    "GB/s": "吉字节每秒", "TB/s": "太字节每秒",
    # pictures and light
    "px": "像素", "dpi": "点每英寸", "ppi": "像素每英寸", "lm": "流明", "lx": "勒克斯", "cd": "坎德拉", "nit": "尼特", "nits": "尼特",
}  # fmt: skip
"""The words for each unit as it is written by the standards."""
CASUAL = {
    name.lower(): verbalized
    for name, verbalized in (
        *((name, verbalized) for name, verbalized in UNITS.items() if len(name) > 1),
        # In the wrong case these would be of two units; what people mean is the commoner one.
        ("MW", "兆瓦"), ("MB", "兆字节"), ("GB", "吉字节"), ("KB", "千字节"), ("TB", "太字节"), ("MB/s", "兆字节每秒"),
        ("GB/s", "吉字节每秒"), ("KB/s", "千字节每秒"), ("nm", "纳米"), ("MPa", "兆帕"), ("mV", "毫伏"), ("MV", "兆伏"),
        ("MJ", "兆焦"), ("MΩ", "兆欧姆"), ("pm", "皮米"),
    )
    # pm and am are times of day, PS and MS are names, IN is a word; NG and IU are read as letters.
    if name not in ("pm", "ps", "iu", "IU", "J", "hp", "cd", "nit", "ppm", "atm", "EB", "PB", "eV", "ha", "kb", "Kb", "Tb")
}  # fmt: skip
"""For units written in the wrong case: KG, Km, khz."""


def _join(names: dict[str, str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


UNIT = rf"(?:(?-i:{_join(UNITS)})|{_join(CASUAL)})(?![A-Za-z²³]|\d)"
"""Regular expression of a unit. Exact spellings come first; a figure after it makes it a name: 5V5."""


def read_unit(name: str) -> str:
    """Read a unit of measure.

    Parameters
    ----------
    name
        A unit as `UNIT` matches it: exact spellings first, other capitals where they are unambiguous.

    Returns
    -------
    str
        Chinese words.

    Raises
    ------
    KeyError
        If there is no such unit.
    """
    return UNITS.get(name) or CASUAL[name.lower()]
